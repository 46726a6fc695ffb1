#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The names of all commands in Vulkan's registry, or of those that may return an error, as C strings:
# commands.py vk.xml OUTPUT [ERROR]
import sys
import xml.etree.ElementTree

names = set()
aliases = {}
for command in xml.etree.ElementTree.parse(sys.argv[1]).getroot().find("commands"):
    if command.get("alias"):
        aliases[command.get("name")] = command.get("alias")
    elif len(sys.argv) < 4 or sys.argv[3] in command.get("errorcodes", "").split(","):
        names.add(command.findtext("proto/name"))
names |= {name for name, target in aliases.items() if target in names}
with open(sys.argv[2], "w") as output:
    for name in sorted(names):
        output.write(f'"{name}",\n')
