#!/usr/bin/python3
"""Relative links of all pages, and the places in them, must exist: links.py ROOT  SPDX-License-Identifier: Apache-2.0"""
import os
import re
import sys

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)[^)]*\)")
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", flags=re.S | re.M)


def pages(root):
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != "build" and not name.startswith(".")]
        yield from (os.path.join(folder, name) for name in names if name.endswith(".md"))


def anchors(page):
    """The names that headings get."""
    with open(page, encoding="utf-8") as file:
        text = re.sub(r"^```.*?^```$", "", file.read(), flags=re.S | re.M)
    for heading in re.findall(r"^#+ +(.*)$", text, flags=re.M):
        yield re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def wrong_links(page):
    with open(page, encoding="utf-8") as file:
        text = CODE.sub("", file.read().replace("[`", "[").replace("`]", "]"))
    for link in LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, place = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        if not os.path.exists(target):
            yield f"{link}: there is no {target}"
        elif place and place not in anchors(target):
            yield f"{link}: {target} has no such place"


def main():
    root = os.path.abspath(sys.argv[1])
    found = sorted(pages(root))
    wrong = [f"{os.path.relpath(page, root)}: {problem}" for page in found for problem in wrong_links(page)]
    print("\n".join(wrong) or f"links of {len(found)} pages lead somewhere")
    sys.exit(1 if wrong or not found else 0)


if __name__ == "__main__":
    main()
