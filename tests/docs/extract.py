#!/usr/bin/python3
"""Take the one block of C out of a page: extract.py PAGE OUT.c  SPDX-License-Identifier: Apache-2.0"""
import os
import re
import sys

page, out = sys.argv[1:]
with open(page, encoding="utf-8") as file:
    text = file.read()
blocks = re.findall(r"^```c\n(.*?)^```$", text, flags=re.S | re.M)
if len(blocks) != 1:
    sys.exit(f"{page}: {len(blocks)} blocks of C, not one")
line = text[: text.index(blocks[0])].count("\n") + 1
with open(out, "w", encoding="utf-8") as file:
    file.write(f'#line {line} "{os.path.abspath(page)}"\n{blocks[0]}')
