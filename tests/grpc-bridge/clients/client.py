# client.py: a real gRPC client (grpcio) that does what it is told, line by line.  harness.py says the commands;
# client.cpp is the same in C++.
# SPDX-License-Identifier: Apache-2.0
import json
import os
import sys
import threading
import urllib.parse

import grpc
from google.protobuf import json_format

sys.path.insert(0, os.environ["CLIENT_STUBS"])
import health_pb2
import health_pb2_grpc
from datadog.api.v1 import api_pb2_grpc
from datadog.model.v1 import model_pb2
from datadog.remoteagent.v1 import remoteagent_pb2, remoteagent_pb2_grpc

NORMAL_TIMEOUT = 120  # seconds; of calls for which nothing else was said


def options_of(words):
    """The calls' common options: metadata, deadline, compression."""
    metadata = []
    if "token" in words:
        metadata.append(("authorization", "Bearer " + words["token"]))
    if "session" in words:
        metadata.append(("session_id", words["session"]))
    options = {"metadata": metadata, "wait_for_ready": "wait" in words}
    if "deadline_ms" in words:
        options["timeout"] = int(words["deadline_ms"]) / 1000
    if "gzip" in words:
        options["compression"] = grpc.Compression.Gzip
    return options


def status_of(error):
    return {"status": error.code().name, "message": error.details() or ""}


class Stream:
    """One StreamConfigEvents, read by a thread of its own, and the configuration that it makes up."""

    def __init__(self, stub, words):
        self.settings = {}
        self.last = None
        self.snapshots = self.updates = self.mistakes = self.snapshot_bytes = 0
        self.path = self.origin = ""
        self.begun = False
        self.status = None
        self.reading = threading.Event()
        if "paused" not in words:
            self.reading.set()
        self.lock = threading.Lock()
        self.call = stub.StreamConfigEvents(model_pb2.ConfigStreamRequest(name=words["name"]), **options_of(words))
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            for name, value in self.call.initial_metadata():
                if name == "configstream-path":
                    self.path = value
            self.begun = True
            while True:
                self.reading.wait()
                event = next(self.call)
                with self.lock:
                    self.take(event)
        except grpc.RpcError as error:
            self.status = status_of(error)
        except StopIteration:
            self.status = {"status": "OK", "message": ""}

    def take(self, event):
        if event.WhichOneof("event") == "snapshot":
            self.take_snapshot(event.snapshot)
        else:
            self.take_update(event.update)

    def take_snapshot(self, snapshot):
        if self.last is not None and snapshot.sequence_id <= self.last:
            self.mistakes += 1
        self.snapshots += 1
        self.snapshot_bytes = snapshot.ByteSize()
        self.origin = snapshot.origin
        self.last = snapshot.sequence_id
        self.settings = {setting.key: setting for setting in snapshot.settings}

    def take_update(self, update):
        if self.last is None or update.sequence_id != self.last + 1:
            self.mistakes += 1
        self.updates += 1
        self.last = update.sequence_id
        if update.setting.HasField("value"):
            self.settings[update.setting.key] = update.setting
        else:
            self.settings.pop(update.setting.key, None)

    def look(self):
        with self.lock:
            return {"begun": int(self.begun), "snapshots": self.snapshots, "updates": self.updates,
                    "mistakes": self.mistakes, "last": -1 if self.last is None else self.last,
                    "settings": len(self.settings), "bytes": self.snapshot_bytes, "origin": self.origin,
                    "path": self.path, **(self.status or {})}

    def values(self, prefix):
        with self.lock:
            return {key: json.dumps([setting.source, json_format.MessageToDict(setting.value)])
                    for key, setting in self.settings.items() if key.startswith(prefix)}

    def save(self, key, file):
        with self.lock, open(file, "wb") as out:
            out.write(self.settings[key].value.string_value.encode())


class Client:
    def __init__(self):
        self.channels = {}
        self.streams = {}  # one of a channel

    # -- connections

    def connect(self, words):
        options = [("grpc.use_local_subchannel_pool", 1),  # a connection of its own for each channel
                   ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]
        if "receive_max" in words:
            options.append(("grpc.max_receive_message_length", int(words["receive_max"])))
        if "plain" in words:
            self.channels[words["channel"]] = grpc.insecure_channel(words["address"], options)
        else:
            self.channels[words["channel"]] = grpc.secure_channel(words["address"], self.credentials(words), options)
        return {}

    @staticmethod
    def credentials(words):
        def content(name):
            if name not in words:
                return None
            with open(words[name], "rb") as file:
                return file.read()

        return grpc.ssl_channel_credentials(content("ca"), content("key"), content("cert"))

    def disconnect(self, words):
        self.channels.pop(words["channel"]).close()
        return {}

    # -- calls: the answer's fields, and the status

    def unary(self, words, stub, method, request, show=lambda answer: {}):
        options = {"timeout": NORMAL_TIMEOUT, **options_of(words)}
        try:
            answer = getattr(stub(self.channels[words["channel"]]), method)(request, **options)
        except grpc.RpcError as error:
            return status_of(error)
        return {"status": "OK", **show(answer)}

    def register(self, words, stub=api_pb2_grpc.AgentSecureStub):
        request = remoteagent_pb2.RegisterRemoteAgentRequest(
            pid=words.get("pid", "1"), flavor=words.get("flavor", "test"), display_name=words.get("display_name", ""),
            api_endpoint_uri=words.get("api_endpoint_uri", ""), services=words.get("services", "").split())
        return self.unary(words, stub, "RegisterRemoteAgent", request, lambda answer: {
            "session": answer.session_id, "interval": answer.recommended_refresh_interval_secs})

    def refresh(self, words, stub=api_pb2_grpc.AgentSecureStub):
        request = remoteagent_pb2.RefreshRemoteAgentRequest(session_id=words["of"])
        return self.unary(words, stub, "RefreshRemoteAgent", request)

    def new_register(self, words):
        return self.register(words, remoteagent_pb2_grpc.RemoteAgentStub)

    def new_refresh(self, words):
        return self.refresh(words, remoteagent_pb2_grpc.RemoteAgentStub)

    def report(self, words):
        request = remoteagent_pb2.ReportRemoteAgentEventRequest(
            session_id=words["of"], events=[remoteagent_pb2.Event(message=words["text"])])
        return self.unary(words, remoteagent_pb2_grpc.RemoteAgentStub, "ReportRemoteAgentEvent", request)

    def probe(self, words):
        return self.unary(words, api_pb2_grpc.AgentSecureStub, "TaggerFetchEntity", model_pb2.FetchEntityRequest())

    def hostname(self, words):
        return self.unary(words, api_pb2_grpc.AgentStub, "GetHostname", model_pb2.HostnameRequest(),
                          lambda answer: {"hostname": answer.hostname})

    def health(self, words):
        request = health_pb2.HealthCheckRequest(service=words.get("service", ""))
        return self.unary(words, health_pb2_grpc.HealthStub, "Check", request, lambda answer: {
            "health": health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)})

    def raw(self, words):
        """Any method, any bytes."""
        call = self.channels[words["channel"]].unary_unary(words["path"])
        try:
            call(bytes.fromhex(words.get("hex", "")), **{"timeout": NORMAL_TIMEOUT, **options_of(words)})
        except grpc.RpcError as error:
            return status_of(error)
        return {"status": "OK"}

    # -- streams

    def subscribe(self, words):
        self.streams[words["channel"]] = Stream(api_pb2_grpc.AgentSecureStub(self.channels[words["channel"]]), words)
        return {}

    def look(self, words):
        return self.streams[words["channel"]].look()

    def values(self, words):
        return self.streams[words["channel"]].values(words.get("prefix", ""))

    def save(self, words):
        self.streams[words["channel"]].save(words["key"], words["file"])
        return {}

    def pause(self, words):
        self.streams[words["channel"]].reading.clear()
        return {}

    def resume(self, words):
        self.streams[words["channel"]].reading.set()
        return {}

    def cancel(self, words):
        self.streams[words["channel"]].call.cancel()
        return {}


COMMANDS = ("connect", "disconnect", "register", "refresh", "new_register", "new_refresh", "report", "probe", "hostname",
            "health", "raw", "subscribe", "look", "values", "save", "pause", "resume", "cancel")


def parse(line):
    command, *words = line.split()
    pairs = (word.split("=", 1) for word in words)
    return command, {name: urllib.parse.unquote(value) for name, value in pairs}


def main():
    client = Client()
    for line in sys.stdin:
        command, words = parse(line)
        if command not in COMMANDS:
            sys.exit("client.py: no such command: " + command)
        answer = getattr(client, command)(words)
        print(*("%s=%s" % (name, urllib.parse.quote(str(value), safe="")) for name, value in answer.items()), flush=True)


main()
