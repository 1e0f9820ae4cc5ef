#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every atomic access of the shared-memory core says which pairing and which row of the protocol it implements.

    tags.py SHM_FOLDER LITMUS_FOLDER

Checks that each load, store and fence (outside words.h) has, within the lines before it in the same function, a comment with
a tag such as [commit U4]; that each tag is a pairing of the protocol with a row of it, or one of the private kinds below;
that each pairing's litmus file is there; and that no row of the protocol is without code.
"""
import pathlib
import re
import sys

LINES_BEFORE = 7

ACCESS = re.compile(r"\b(?:word(?:32)?_(?:load|store)_\w+|words_(?:load|store|fence)\w*|atomic_\w+)\s*\(")
TAG = re.compile(r"\[([a-z][a-z-]*)((?: [A-Z][0-9]?)*)\]")

# Pairings of the protocol, each with a litmus file c11-<stem>.litmus that holds.
PAIRINGS = {"commit", "recycle", "flip", "odd-flip", "s-check", "slot", "ghost-slot", "take", "wake"}
# What is no part of the protocol: numbers, texts, identity, and words of one process.
OTHERS = {"counters", "info", "beat", "state", "epoch", "attach", "private", "park", "interrupt"}
# Rows with an atomic access or fence of their own.  U0 is private, R1 is system calls; C3 to C5 are rows R, U5 and U again.
ROWS = {"U1", "U2", "U3", "U4", "U5", "B", "R2", "R3", "R4", "R5", "R6", "C1", "C2", "V1", "V2", "V3", "V4", "V5",
        "S1", "S2", "S4", "S5", "S6"}
# Rows without: what they call carries the tags.
NAMED_ROWS = {"U0", "R1", "C3", "C4", "C5", "S3", "S7"}
KNOWN_ROWS = ROWS | NAMED_ROWS


def code_without_comments(text):
    """The same text, comments and strings blanked, line breaks kept."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", blank, text, flags=re.S)


def function_starts(lines):
    """For each line the first line of its function: the one after the last closing brace in column 0."""
    start, starts = 0, []
    for number, line in enumerate(lines):
        starts.append(start)
        if line.startswith("}"):
            start = number + 1
    return starts


def comment_lines(text):
    """For each line what of it is comment."""
    marked = [""] * (text.count("\n") + 1)
    for match in re.finditer(r"/\*.*?\*/|//[^\n]*", text, flags=re.S):
        first = text.count("\n", 0, match.start())
        for offset, part in enumerate(match.group().split("\n")):
            marked[first + offset] += part + " "
    return marked


def check_file(path, problems, rows, stems):
    text = path.read_text()
    code = code_without_comments(text).split("\n")
    comments = comment_lines(text)
    starts = function_starts(code)
    accesses = 0
    for number, line in enumerate(code):
        for access in ACCESS.finditer(line):
            accesses += 1
            first = max(starts[number], number - LINES_BEFORE)
            if not TAG.search(" ".join(comments[first:number + 1])):
                problems.append(f"{path.name}:{number + 1}: {access.group()[:-1].strip()} without a tag")
    for number, line in enumerate(comments):
        for tag in TAG.finditer(line):
            stem, named = tag.group(1), tag.group(2).split()
            if stem in PAIRINGS:
                stems.add(stem)
                if not named:
                    problems.append(f"{path.name}:{number + 1}: [{stem}] names no row")
            elif stem not in OTHERS:
                problems.append(f"{path.name}:{number + 1}: [{stem}] is no pairing")
            for row in named:
                if row not in KNOWN_ROWS:
                    problems.append(f"{path.name}:{number + 1}: [{tag.group()[1:-1]}]: the protocol has no row {row}")
                rows.add(row)
    return accesses


def main():
    shm, litmus = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    problems, rows, stems, accesses = [], set(), set(), 0
    for path in sorted(shm.glob("*.[ch]")):
        if path.name != "words.h":
            accesses += check_file(path, problems, rows, stems)
    for stem in sorted(stems | PAIRINGS):
        file = litmus / f"c11-{stem}.litmus"
        if not file.is_file() or "expect: Never" not in file.read_text():
            problems.append(f"{stem}: no litmus file c11-{stem}.litmus that holds")
    for stem in sorted(PAIRINGS - stems):
        problems.append(f"pairing {stem} is tagged nowhere")
    for row in sorted(ROWS - rows):
        problems.append(f"row {row} of the protocol is tagged nowhere")
    for problem in problems:
        print(problem)
    print(f"tags: {accesses} accesses, {len(stems)} pairings, {len(rows & ROWS)} of {len(ROWS)} rows, "
          f"{len(problems)} problems")
    return 1 if problems or accesses == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
