#!/usr/bin/python3
"""The example of docs/defaults-file.md must come to what the page says: defaults_file.py PAGE

Blocks behind <!-- test: NAME --> are two files, the daemon's environment, and what `configstream list` prints then.
SPDX-License-Identifier: Apache-2.0
"""
import re
import sys

from troubleshooting import Host, commands, matches

BLOCKS = re.compile(r"^<!-- test: (\S+) -->\n```\w+\n(.*?)^```$", flags=re.S | re.M)


class Example(Host):
    def run(self, files, variables, console):
        self._write("share/defaults.yaml", files["defaults.yaml"])
        self._write("etc/datadog.yaml", files["datadog.yaml"])
        self._environment.update(variables)
        check = ("configstreamd --check --defaults /usr/share/configstream/defaults.yaml "
                 "--config /etc/configstream/datadog.yaml")
        wrong = [("the files as they are", self._run(False, check))]
        self._start()
        for _, _, command, said in commands(console, 1):
            got = self._run(False, command)
            wrong.append((command, "" if matches(said, got) else got))
        return [(what, got) for what, got in wrong if got]


def main():
    with open(sys.argv[1], encoding="utf-8") as page:
        blocks = dict(BLOCKS.findall(page.read()))
    variables = dict(line.split("=", 1) for line in blocks["environment"].splitlines())
    example = Example()
    try:
        wrong = example.run(blocks, variables, blocks["list"])
    finally:
        example._close()
    for what, got in wrong:
        print("%s: prints\n%s" % (what, got))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
