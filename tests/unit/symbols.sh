#!/bin/sh
# SPDX-License-Identifier: MIT
# The library exports exactly the functions that its header declares.
# Usage: symbols.sh NM LIBRARY HEADER
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# a declaration starts in the first column, comments don't
grep -E '^[a-z].*\bdrover_[a-z0-9_]+\(' "$3" | grep -oE '\bdrover_[a-z0-9_]+\(' | tr -d '(' |
	sed 's/$/@@LIBDROVER_0.1/' | sort >"$tmp/declared"
"$1" -D --defined-only "$2" | awk '$2 != "A" { print $3 }' | sort >"$tmp/exported"

if [ ! -s "$tmp/declared" ]; then
	echo "$3: no declarations found; the pattern in $0 doesn't match any more" >&2
	exit 1
fi
if ! diff -u "$tmp/declared" "$tmp/exported"; then
	echo "declared (-) and exported (+) differ: bring src/winsys/libdrover.map and $3 together" >&2
	exit 1
fi
echo "$(wc -l <"$tmp/declared") functions declared and exported"
