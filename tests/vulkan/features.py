#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# The feature structures of extensions in Vulkan's registry, as FEATURES(extensions, type, structure), for those that
# no version of Vulkan has: features.py vk.xml OUTPUT
import sys
import xml.etree.ElementTree

root = xml.etree.ElementTree.parse(sys.argv[1]).getroot()
types = {}
aliases = {}
for struct in root.iterfind("types/type[@category='struct']"):
    if struct.get("alias"):
        aliases[struct.get("name")] = struct.get("alias")
    elif "VkPhysicalDeviceFeatures2" in struct.get("structextends", "").split(","):
        types[struct.get("name")] = struct.find("member[@values]").get("values")
for required in root.iterfind("feature/require/type"):
    types.pop(required.get("name"), None)
owners = {}
for extension in root.iterfind("extensions/extension"):
    if "vulkan" not in extension.get("supported").split(","):
        continue
    if extension.get("platform", "provisional") != "provisional":
        continue
    for required in extension.iterfind("require/type"):
        name = aliases.get(required.get("name"), required.get("name"))
        if name in types:
            owners.setdefault(name, set()).add(extension.get("name"))
with open(sys.argv[2], "w") as output:
    for name, extensions in sorted(owners.items()):
        output.write(f'FEATURES("{" ".join(sorted(extensions))}", {types[name]}, {name})\n')
