# SPDX-License-Identifier: MIT
"""What the drover command's suites share: running it, checks, and TAP."""

import json
import os
import subprocess
import sys
import traceback

TREE = os.getcwd()
BUILD = os.environ.get("DROVER_BUILD", os.path.join(TREE, "build/root"))
DROVER = os.path.join(BUILD, "src/cli/drover")
CLIENT = os.path.join(BUILD, "tests/cli/cli-client")
LAYER = "VK_LAYER_DROVER_working_set"


class Skip(Exception):
    """This can't be tested here; the message says why."""


def clean_environment():
    """The caller's environment without what would change what is tested."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("VK_", "XDG_"))}


def run(*arguments, env=None, program=DROVER, stdin=subprocess.DEVNULL, before=()):
    """Runs the command; env is added to a clean environment."""
    return subprocess.run([*before, program, *arguments], env=clean_environment() | (env or {}), stdin=stdin,
                          capture_output=True, text=True, timeout=240, check=False)


def info(**options):
    """What drover info --json says, as a dictionary."""
    result = run("info", "--json", **options)
    equal(result.returncode, 0, f"status of info --json: {result.stderr}")
    return json.loads(result.stdout)


def equal(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: {actual!r}, expected {expected!r}")


def contains(whole, part, what):
    if part not in whole:
        raise AssertionError(f"{what}: no {part!r} in {whole!r}")


def lacks(whole, part, what):
    if part in whole:
        raise AssertionError(f"{what}: {part!r} should not be in {whole!r}")


def explain(number, name, error):
    print(f"not ok {number} - {name}")
    for line in "".join(traceback.format_exception(error)).splitlines()[-12:]:
        print(f"# {line}")


def main(tests):
    """Runs the functions (those whose names contain an argument, if there is any) and says how they ended."""
    chosen = [test for test in tests if not sys.argv[1:] or any(word in test.__name__ for word in sys.argv[1:])]
    failed = False
    print(f"1..{len(chosen)}")
    for number, test in enumerate(chosen, 1):
        name = test.__name__.removeprefix("test_")
        try:
            test()
            print(f"ok {number} - {name}")
        except Skip as reason:
            print(f"ok {number} - {name} # SKIP {reason}")
        except Exception as error:  # pylint: disable=broad-exception-caught
            explain(number, name, error)
            failed = True
        sys.stdout.flush()
    sys.exit(failed)
