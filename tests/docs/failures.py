#!/usr/bin/python3
"""Every row of "Failures that existing consumers had" names a test that exists and runs, or says why there is none:
failures.py ROOT

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import sys

from checklist import read, tests

PAGE, HEADING = "docs/compatibility.md", "## Failures that existing consumers had"
ROWS = 25


def python_tests(root):
    """module.Class.test of each class that its folder's CMakeLists.txt names."""
    for folder, _, names in os.walk(os.path.join(root, "tests")):
        for name in names:
            if re.fullmatch(r"test_\w+\.py", name):
                lists = read(os.path.join(folder, "CMakeLists.txt"))
                for title, body in re.findall(r"(?ms)^class (\w+)\(.*?:\n(.*?)(?=^\S|\Z)", read(os.path.join(folder, name))):
                    if re.search(r"\b%s\b" % title, lists):
                        yield from (f"{name[:-3]}.{title}.{test}" for test in re.findall(r"def (test_\w+)", body))


def wrong(root):
    section = read(os.path.join(root, PAGE)).partition(HEADING)[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip()[1:-1].split("|")]
            for line in section.splitlines() if re.match(r"\| \d+ \|", line)]
    if [int(row[0]) for row in rows] != list(range(1, ROWS + 1)):
        yield f"the rows are not 1 to {ROWS}"
    known = set(tests(root)) | set(python_tests(root))
    for row in rows:
        if len(row) != 4:
            yield f"{row[0]}: {len(row)} cells instead of 4"
            continue
        number, _, why, shown = row
        named = re.findall(r"`([\w:.-]+)`", shown)
        if not named and len(why.split()) < 8:
            yield f"{number}: neither a test nor a reason"
        yield from (f"{number}: there is no test {test}" for test in named if test not in known)


def main():
    found = list(wrong(sys.argv[1]))
    print("\n".join(found) or "all tests that the table names are there")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
