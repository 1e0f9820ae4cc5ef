#!/usr/bin/python3
"""Run every vector through the daemon, the arena, the command line and a reader.  SPDX-License-Identifier: Apache-2.0

    run.py CONFIGSTREAMD CONFIGSTREAM PROBE [ID]…

What must come out stands in vectors.jsonl, where differences.json does not replace it.  README.md has the schema.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = 59  # as many as were recorded: none may get lost
PATIENCE = 60  # seconds until a condition counts as never coming true
EXIT_REFUSED = 6

KNOWN_FIELDS = {"id", "topic", "shows", "inputs", "expect_snapshot", "expect_startup_error", "expect_updates",
                "expect_final", "expect_getters", "expect_diagnostics", "quirk", "reduced"}
KNOWN_INPUTS = {"defaults", "kinds", "assumed_defaults", "yaml", "env", "env_names", "env_parsers", "fleet",
                "startup_sets", "steps"}

# Kinds of the vectors, as the arena knows them: it tells families apart, the declaration the rest.
HELD_KINDS = {"null": "null", "bool": "bool", "int": "int", "duration": "int", "float": "double", "string": "string",
              "string_list": "list", "list": "list", "map_list": "list",
              "string_map": "struct", "list_map": "struct", "float_map": "struct", "map": "struct"}

REFUSALS = {"set_unknown_key", "set_on_section"}


class Failure(Exception):
    pass


# ---- a daemon and a reader on the inputs of one vector


def plain_name(key):
    return "DD_" + key.upper().replace(".", "_")


def declaration(inputs, key):
    """Says what the plain rules would not find by themselves, so that they are tested, too."""
    declared = {"kind": inputs["kinds"][key]}
    names = inputs.get("env_names", {}).get(key)
    if names and names != [plain_name(key)]:
        declared["env"] = names
    if key in inputs.get("env_parsers", {}):
        declared["parser"] = inputs["env_parsers"][key]
    return declared


def defaults_text(inputs):
    """JSON is YAML."""
    whole = dict(inputs["defaults"])
    whole["x-configstream"] = {key: declaration(inputs, key) for key in inputs["defaults"]}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def sanitizer_options():
    return {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}


class Instance:
    def __init__(self, programs, inputs, number):
        self.daemon_program, self.cli_program, self.probe_program = programs
        self.inputs = inputs
        self.name = f"conformance-{os.getpid()}-{number}"
        self.folder = tempfile.mkdtemp(prefix="cfgs-")
        self.log_path = self.path("log")
        self.daemon = self.probe = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def arena_exists(self):
        return os.path.exists("/dev/shm/configstream." + self.name)

    def __enter__(self):
        for name, text in (("defaults.yaml", defaults_text(self.inputs)), ("main.yaml", self.inputs.get("yaml", "")),
                           ("fleet.yaml", self.inputs.get("fleet", ""))):
            with open(self.path(name), "w") as file:
                file.write(text)
        return self

    def __exit__(self, *_):
        for process in filter(None, (self.probe, self.daemon)):
            process.kill()
            process.wait()
        if self.probe:
            self.probe.stdin.close()
            self.probe.stdout.close()
        for suffix in ("", ".lock"):
            try:
                os.unlink("/dev/shm/configstream." + self.name + suffix)
            except FileNotFoundError:
                pass
        shutil.rmtree(self.folder)

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def start_daemon(self):
        command = [self.daemon_program, "--instance", self.name, "--control", self.path("socket"),
                   "--log-level", "info", "--defaults", self.path("defaults.yaml"), "--config", self.path("main.yaml")]
        if "fleet" in self.inputs:
            command += ["--fleet-policies", self.path("fleet.yaml")]
        for change in self.inputs.get("startup_sets", []):
            if change["source"] != "cli" or not isinstance(change["value"], str):
                raise Failure(f"--set cannot express {change}")
            command += ["--set", f"{change['key']}={change['value']}"]
        with open(self.log_path, "w") as log:
            self.daemon = subprocess.Popen(command, env={**sanitizer_options(), **self.inputs.get("env", {})},
                                           stdin=subprocess.DEVNULL, stderr=log)

    def start(self):
        self.start_daemon()
        give_up = time.monotonic() + PATIENCE
        while f"instance '{self.name}': arena" not in self.log():
            if self.daemon.poll() is not None or time.monotonic() > give_up:
                raise Failure("the daemon did not start:\n" + self.log())
            time.sleep(0.002)
        self.probe = subprocess.Popen([self.probe_program, self.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True)

    def ask(self, *words):
        self.probe.stdin.write(" ".join(words) + "\n")
        self.probe.stdin.flush()
        line = self.probe.stdout.readline()
        if not line:
            raise Failure(f"the probe did not survive {words}")
        return json.loads(line)

    def stop(self):
        self.probe.stdin.close()
        self.daemon.send_signal(signal.SIGTERM)
        for process in (self.probe, self.daemon):
            if process.wait(PATIENCE) != 0:
                raise Failure(f"{process.args[0]} ended with {process.returncode}:\n{self.log()}")

    def change(self, step):
        command = [self.cli_program, "--instance", self.name, "--json", step["op"], step["key"], "--source",
                   step["source"]]
        if step["op"] == "set":
            command += ["--value-json", json.dumps(step["value"])]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)


# ---- what happens: observations by path, as differences.json names them


def take_events(instance):
    events = []
    while (event := instance.ask("next"))["event"] != "none":
        events.append(event)
    return events


def observe_step(instance, step):
    before = instance.ask("snapshot")["sequence"]
    result = instance.change(step)
    after = instance.ask("snapshot")["sequence"]
    answer = json.loads(result.stdout) if result.returncode == 0 else None
    if answer and (answer["sequence"], answer["changed"]) != (after, after > before):
        raise Failure(f"{step} was answered by {answer}, the ID went from {before} to {after}")
    return {"exit": result.returncode, "message": result.stderr, "before": before, "delta": after - before,
            "events": take_events(instance)}


def observe_getters(instance, vector, when, seen):
    for index, getter in enumerate(vector.get("expect_getters", [])):
        if getter["at"] == when:
            seen[f"expect_getters/{index}"] = instance.ask("getter", getter["key"], getter["getter"])


def observe_state(vector, field, settings, seen):
    for key in vector.get(field, {}):
        seen[f"{field}/{key}"] = settings.get(key)


def log_lines(text):
    """(level, line) of each line the daemon logged."""
    return [(line.split(" ", 2)[1], line) for line in text.splitlines() if line.count(" ") >= 2]


def observe_diagnostics(vector, logs, seen):
    for index, diagnostic in enumerate(vector.get("expect_diagnostics", [])):
        seen[f"expect_diagnostics/{index}"] = log_lines(logs[diagnostic["at"]])


def follow(settings, event):
    """What a consumer of the stream holds after the event."""
    if event["removed"]:
        settings.pop(event["key"], None)
    else:
        settings[event["key"]] = event["setting"]


def first_snapshot(instance):
    events = take_events(instance)
    state = instance.ask("snapshot")
    if [(event["event"], event["sequence"]) for event in events] != [("snapshot", state["sequence"])]:
        raise Failure(f"the stream began with {events}, not with a snapshot at {state['sequence']}")
    return state["settings"]


def check_flags(inputs, settings):
    """What stands in no defaults file says so."""
    for key, setting in settings.items():
        if setting["undeclared"] != (key not in inputs["defaults"]):
            raise Failure(f"{key}: undeclared is {setting['undeclared']}")


def observe(instance, vector):
    seen, logs = {}, {}
    instance.start()
    held = first_snapshot(instance)
    check_flags(vector["inputs"], held)
    logs["startup"] = instance.log()
    observe_state(vector, "expect_snapshot", held, seen)
    observe_getters(instance, vector, "snapshot", seen)
    for index, step in enumerate(vector["inputs"].get("steps", [])):
        length = len(instance.log())
        step_seen = observe_step(instance, step)
        logs[index] = instance.log()[length:]
        seen[f"expect_updates/{index}"] = step_seen
        for event in step_seen["events"]:
            follow(held, event)
    final = instance.ask("snapshot")["settings"]
    if final != held:
        raise Failure(f"a follower of the stream holds {held}, a local reader {final}")
    observe_state(vector, "expect_final", final, seen)
    observe_getters(instance, vector, "final", seen)
    observe_diagnostics(vector, logs, seen)
    instance.stop()
    return seen


# ---- what should have happened: each comparison returns a complaint, or None


def text(value):
    """One text for one value: 1, 1.0 and true are three."""
    return json.dumps(value, sort_keys=True)


def streamed(value):
    """In a stream every number is a double."""
    if isinstance(value, list):
        return [streamed(item) for item in value]
    if isinstance(value, dict):
        return {key: streamed(item) for key, item in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value


def nested(value):
    """Inside lists and maps a whole number is one number, however it is held; it must be exact."""
    if isinstance(value, list):
        return [nested(item) for item in value]
    if isinstance(value, dict):
        return {key: nested(item) for key, item in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def complain(what, expected, got):
    return None if expected == got else f"{what} is {got}, not {expected}"


def compare_setting(expected, got):
    has_streamed_form = got is not None and not got["local"]
    if expected is None or not has_streamed_form:
        return complain("being there", expected is not None, has_streamed_form)
    return complain("source", expected["source"], got["source"]) or \
        complain("value", text(streamed(expected["value"])), text(streamed(got["value"]))) or \
        ("kind" in expected and complain("kind", HELD_KINDS[expected["kind"]], got["kind"])) or None


def compare_update(expected, got, refused):
    problem = complain("exit code", EXIT_REFUSED if refused else 0, got["exit"]) or \
        complain("number of IDs taken", expected["seq_delta"], got["delta"]) or \
        complain("number of events", expected["seq_delta"], len(got["events"]))
    if problem or not expected["seq_delta"]:
        return problem
    event = got["events"][0]
    return complain("event", "update", event["event"]) or \
        complain("ID", got["before"] + 1, event["sequence"]) or \
        complain("removed", False, event["removed"]) or \
        complain("key", expected["key"], event["key"]) or \
        complain("unset_source", expected.get("unset_source", ""), event["unset_source"]) or \
        compare_setting(expected, event["setting"])


def expected_result(getter):
    """The list of no elements that a C function returns stands for the empty list and for none."""
    empty = getter["getter"] in ("string_list", "float_list") and getter["result"] is None
    return [] if empty else getter["result"]


def result_text(result):
    return text(nested(result) if isinstance(result, (list, dict)) else result)


def compare_getter(expected, got, told_before):
    """A code says what the agents log; they log the first read of an unknown key only."""
    codes = {expected.get("diagnostic", "ok")}
    if told_before and codes == {"ok"}:
        codes.add("unknown_key")
    if got["code"] not in codes:
        return complain("code", " or ".join(sorted(codes)), got["code"])
    return complain("result", result_text(expected_result(expected)), result_text(got["result"]))


def compare_diagnostic(expected, got):
    named = re.compile(r"(?<![\w.])" + re.escape(expected["name"]) + r"(?!\w|\.\w)")
    if any(level == expected["level"].upper() and named.search(line) for level, line in got):
        return None
    return f"no {expected['level']} names {expected['name']} in {[line for _, line in got]}"


def is_refused(vector, index, update):
    said = any(diagnostic["at"] == index and diagnostic["what"] in REFUSALS
               for diagnostic in vector.get("expect_diagnostics", []))
    return said or update.get("refused", False)


def was_told(vector, index):
    getters = vector["expect_getters"]
    return any(getter["key"] == getters[index]["key"] and getter.get("diagnostic") == "unknown_key"
               for getter in getters[:index])


def compare(vector, path, expected, got):
    field, _, name = path.partition("/")
    if field == "expect_updates":
        return compare_update(expected, got, is_refused(vector, int(name), expected))
    if field == "expect_getters":
        return compare_getter(expected, got, was_told(vector, int(name)))
    if field == "expect_diagnostics":
        return compare_diagnostic(expected, got)
    return compare_setting(expected, got)


# ---- one vector, all vectors


def expectations(vector):
    """(path, expectation) of everything the vector expects."""
    for field in ("expect_snapshot", "expect_final"):
        for key, expected in vector.get(field, {}).items():
            yield f"{field}/{key}", expected
    for field in ("expect_updates", "expect_getters", "expect_diagnostics"):
        for index, expected in enumerate(vector.get(field, [])):
            yield f"{field}/{index}", expected


def check_schema(vector):
    strange = (set(vector) - KNOWN_FIELDS) | (set(vector["inputs"]) - KNOWN_INPUTS)
    if strange:
        raise Failure(f"the runner knows nothing of {sorted(strange)}")
    if len(vector.get("expect_updates", [])) != len(vector["inputs"].get("steps", [])):
        raise Failure("there is not one update for each step")


def run_failing_start(instance, vector):
    instance.start_daemon()
    code = instance.daemon.wait(PATIENCE)
    place = re.search(re.escape(instance.path("main.yaml")) + r":(\d+):\d+: ", instance.log())
    line = vector["expect_startup_error"]["line"]
    if code != 1 or not place or int(place[1]) != line:
        return [f"the daemon ended with {code} and named no place in line {line}: {instance.log()}"]
    return ["there is an arena"] if instance.arena_exists() else []


def run_vector(instance, vector, differences):
    check_schema(vector)
    if "expect_startup_error" in vector:
        return run_failing_start(instance, vector)
    complaints = []
    replaced = {difference["path"]: difference["is"] for difference in differences}
    seen = observe(instance, vector)
    for path, expected in expectations(vector):
        problem = compare(vector, path, replaced.get(path, expected), seen[path])
        if problem:
            complaints.append(f"{path}: {problem}")
        elif path in replaced and not compare(vector, path, expected, seen[path]):
            complaints.append(f"{path}: as recorded; differences.json need not replace it")
    complaints += [f"{path}: differences.json replaces what nothing expects" for path in replaced.keys() - seen.keys()]
    return complaints


def check_lists(vectors, listed):
    ids = [vector["id"] for vector in vectors]
    if len(set(ids)) != VECTORS or len(ids) != VECTORS:
        sys.exit(f"vectors.jsonl has {len(ids)} vectors of {len(set(ids))} names, not {VECTORS}")
    strangers = listed["differences"].keys() - set(ids)
    if strangers:
        sys.exit(f"differences.json names {sorted(strangers)}, which are no vectors")
    used = {difference["reason"] for each in listed["differences"].values() for difference in each}
    odd = used ^ listed["reasons"].keys()
    if odd:
        sys.exit(f"reasons in differences.json that are not both given and used: {sorted(odd)}")


def main(programs, wanted):
    with open(os.path.join(HERE, "vectors.jsonl")) as file:
        vectors = [json.loads(line) for line in file]
    with open(os.path.join(HERE, "differences.json")) as file:
        listed = json.load(file)
    check_lists(vectors, listed)
    failed = run = 0
    for number, vector in enumerate(vectors):
        if wanted and vector["id"] not in wanted:
            continue
        run += 1
        with Instance(programs, vector["inputs"], number) as instance:
            try:
                complaints = run_vector(instance, vector, listed["differences"].get(vector["id"], []))
            except (Failure, subprocess.TimeoutExpired) as failure:
                complaints = [str(failure)]
        failed += bool(complaints)
        for complaint in complaints:
            print(f"{vector['id']}: {complaint}", flush=True)
    replaced = sum(len(each) for each in listed["differences"].values())
    print(f"{run} of {VECTORS} vectors run, {failed} failed; {len(listed['differences'])} differ on purpose, in "
          f"{replaced} expectations")
    return 1 if failed or run != (len(wanted) or VECTORS) else 0


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:4], set(sys.argv[4:])))
