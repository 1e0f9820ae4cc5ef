#!/usr/bin/python3
"""The fields of `configstream status --json` and those of the page are the same: status_fields.py docs/operations.md

SPDX-License-Identifier: Apache-2.0
"""
import json
import re
import sys

from troubleshooting import Host


def told(page):
    with open(page, encoding="utf-8") as file:
        table = re.search(r"^\| field \|.*?\n\n", file.read(), flags=re.S | re.M)[0]
    first_cells = re.findall(r"^\|([^|]*)\|", table, flags=re.M)
    return set(re.findall(r"`([\w.]+)`", " ".join(first_cells)))


def names(status, before=""):
    for name, value in status.items():
        yield from names(value, before + name + ".") if isinstance(value, dict) else [before + name]


def printed():
    host = Host()
    try:
        host.the_daemon_runs()
        return set(names(json.loads(host._run(False, "configstream status --json"))))
    finally:
        host._close()


def main():
    here, there = told(sys.argv[1]), printed()
    print("only on the page: %s; only in the program: %s; in both: %d" %
          (sorted(here - there) or "none", sorted(there - here) or "none", len(here & there)))
    sys.exit(0 if here == there else 1)


if __name__ == "__main__":
    main()
