#!/usr/bin/python3
"""Every file and test that the checklist names must exist, and no line may be missing: checklist.py ROOT

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import sys

TEST = re.compile(r"^Test\((\w+), (\w+)", flags=re.M)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def tests(root):
    for folder, _, names in os.walk(os.path.join(root, "tests")):
        for name in names:
            if name.endswith(".c"):
                yield from ("::".join(found) for found in TEST.findall(read(os.path.join(folder, name))))
            elif name == "CMakeLists.txt":
                text = loops_done(read(os.path.join(folder, name)))
                yield from re.findall(r"(?:cfgs_add_program\(|add_test\(NAME )([\w-]+)", text)


def loops_done(text):
    """Names that are made in a foreach() over words."""
    for variable, words, body in re.findall(r"foreach\((\w+) ([\w -]+)\)\n(.*?)endforeach", text, flags=re.S):
        text += "".join(body.replace("${%s}" % variable, word) for word in words.split())
    return text


def wrong(root):
    page = read(os.path.join(root, "docs/grpc-checklist.md"))
    known = set(tests(root))
    rows = [line.split(" | ") for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    if [int(row[0].strip("| ")) for row in rows] != list(range(1, 41)):
        yield "the lines are not 1 to 40"
    for row in rows:
        number, mark, where, shown = row[0].strip("| "), row[2], row[3], row[4]
        if mark not in ("✓", "≠", "–"):
            yield f"{number}: '{mark}' is no mark"
        if mark == "✓" and "`" not in shown and "by review" not in shown:
            yield f"{number}: nothing shows it"
        for path in re.findall(r"`([\w/]+\.[ch])`", where):
            if not os.path.exists(os.path.join(root, "grpc-bridge", path)):
                yield f"{number}: there is no {path}"
        for test in re.findall(r"`([\w:-]+)`", shown):
            if test not in known:
                yield f"{number}: there is no test {test}"


def main():
    found = list(wrong(sys.argv[1]))
    print("\n".join(found) or "all that the checklist names is there")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
