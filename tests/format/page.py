#!/usr/bin/python3
"""Hold docs/arena-format.md against the code.  SPDX-License-Identifier: Apache-2.0

    page.py PAGE LAYOUT_PROGRAM SHM_FOLDER LITMUS_FOLDER

Offsets, sizes and numbers must be those the program prints (layout.c: what the compiler sees).  The pairings must be the
stems that are tagged in the sources, their functions must be there and their litmus files, too.
"""
import pathlib
import re
import subprocess
import sys


def tables(page):
    """(heading, rows) of each table; a row is the list of its cells."""
    heading, rows = "", []
    for line in page.splitlines() + [""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
            continue
        if rows:
            yield heading, rows
            rows = []
        if line.startswith("#"):
            heading = line.lstrip("# ").strip()


PREFIXES = {"4. Header": "header", "Info block": "header", "5. Banks": "bank", "6. Records": "record", "9. Ring": "slot"}


def documented(page):
    """What the page says: "header magic" -> (offset, size), "kind null" -> number."""
    said = {}
    for heading, rows in tables(page):
        prefix = PREFIXES.get(heading)
        if prefix and rows[0][:4] == ["offset", "size", "type", "field"]:
            for row in rows[2:]:
                said[f"{prefix} {row[3].strip('`')}"] = (int(row[0]), int(row[1]))
        elif heading == "8. Numbers":
            for row in rows[2:]:
                for what, number, name in ((rows[0][0], *row[:2]), (rows[0][3], *row[3:5])):
                    if number:
                        said[f"{what} {re.split('[ :(,]', name)[0].strip('`')}"] = (int(number.strip("`"), 0), 0)
    return said


def compiled(program):
    out = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return {f"{what} {name}": (int(at), int(size)) for what, name, at, size in (line.split() for line in out.splitlines())}


def overlaps(said):
    """Fields of one structure must follow each other; info stands for its parts."""
    for prefix in set(PREFIXES.values()):
        parts = sorted((at, size, name) for name, (at, size) in said.items()
                       if name.startswith(prefix + " ") and name != "header info")
        for (at, size, name), (following, _, other) in zip(parts, parts[1:]):
            if at + size > following:
                yield f"{name} runs into {other}"


def pairings(page, folder, litmus):
    """What is wrong with the pairings."""
    sources = "\n".join(path.read_text() for path in sorted(folder.glob("*.[ch]")))
    tagged = set(re.findall(r"\[([a-z][a-z-]+)(?: [A-Z][0-9]?)*\]", " ".join(re.findall(r"/\*.*?\*/", sources, flags=re.S))))
    rows = [(number, row) for heading, rows in tables(page) if heading == "14. Pairings"
            for number, row in ((len(rows[0]), row) for row in rows[2:])]
    said = {row[0].strip("`") for _, row in rows}
    for stem in said ^ tagged:
        yield f"[{stem}] is {'tagged in the sources, not on the page' if stem in tagged else 'on the page only'}"
    for columns, row in rows:
        if columns == 5 and not (litmus / f"c11-{row[0].strip('`')}.litmus").exists():
            yield f"{row[0]} has no litmus file"
        for name in re.findall(r"`([a-z_0-9]+)`", " ".join(row[1:3])):
            if not re.search(rf"\b{name}\b", sources):
                yield f"{row[0]}: {name} is nowhere in the sources"
    if not rows:
        yield "there are no pairings"


def main():
    page = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    said = documented(page)
    found = compiled(sys.argv[2])
    wrong = [f"{name}: the page says {said.get(name, 'nothing')}, the compiler {found.get(name, 'nothing')}"
             for name in sorted(said.keys() | found.keys()) if said.get(name) != found.get(name)]
    wrong += [*overlaps(said), *pairings(page, pathlib.Path(sys.argv[3]), pathlib.Path(sys.argv[4]))]
    print("\n".join(wrong) or f"{len(said)} offsets, sizes and numbers are as the page says, and so are the pairings")
    sys.exit(1 if wrong or not said else 0)


if __name__ == "__main__":
    main()
