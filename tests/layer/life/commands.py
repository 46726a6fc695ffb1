#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The names of all commands in Vulkan's registry, as C strings: commands.py vk.xml OUTPUT
import sys
import xml.etree.ElementTree

names = set()
for command in xml.etree.ElementTree.parse(sys.argv[1]).getroot().find("commands"):
    names.add(command.get("name") or command.findtext("proto/name"))
with open(sys.argv[2], "w") as output:
    for name in sorted(names):
        output.write(f'"{name}",\n')
