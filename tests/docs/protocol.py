#!/usr/bin/python3
"""The client of docs/protocol.md follows a real bridge, and reflection describes it whole: protocol.py ROOT

Programs by the environment: CONFIGSTREAM, CONFIGSTREAMD, CONFIGSTREAM_BRIDGE.  Needs grpcio and protoc with its plugin.
SPDX-License-Identifier: Apache-2.0
"""
import glob
import importlib.util
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool

INSTANCE = "docs-protocol-%d" % os.getpid()


class Scene:
    def __init__(self, root):
        self.root, self.folder, self.running = root, tempfile.mkdtemp(prefix="cfgs-"), []
        self.certificate, self.token = self.folder + "/ipc_cert.pem", self.folder + "/auth_token"

    def start(self, *command, **variables):
        program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   env={**os.environ, **variables})
        self.running.append(program)
        return program

    def start_daemon(self):
        files = self.root + "/docs/examples/agent/"
        self.start(os.environ["CONFIGSTREAMD"], "--instance", INSTANCE, "--defaults", files + "defaults.yaml",
                   "--config", files + "datadog.yaml", "--control", self.control())

    def start_bridge(self, port):
        bridge = self.start(os.environ["CONFIGSTREAM_BRIDGE"], "--instance", INSTANCE, "--listen", "127.0.0.1:" + port,
                            "--metrics", "off", "--control", self.folder + "/bridge.sock", "--cert", self.certificate,
                            "--auth-token-file", self.token)
        return bridge, wait_for(bridge, r"listening on 127\.0\.0\.1:(\d+)")[1]

    def control(self):
        return self.folder + "/control.sock"

    def command(self, *words):
        subprocess.run([os.environ["CONFIGSTREAM"], "--instance", INSTANCE, *words], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)

    def make_stubs(self):
        protos = glob.glob(self.root + "/grpc-bridge/proto/**/*.proto", recursive=True)
        subprocess.run(["protoc", "-I", self.root + "/grpc-bridge/proto", "--python_out", self.folder,
                        "--grpc_python_out", self.folder,
                        "--plugin=protoc-gen-grpc_python=" + shutil.which("grpc_python_plugin"), *protos], check=True)

    def close(self):
        for program in self.running:
            program.kill()
            program.wait()
        for name in os.listdir("/dev/shm"):
            if name.startswith("configstream." + INSTANCE):
                os.unlink("/dev/shm/" + name)
        shutil.rmtree(self.folder)


def wait_for(program, pattern):
    """The next line of its output that matches."""
    for line in program.stdout:
        found = re.search(pattern, line)
        if found:
            return found
    raise AssertionError("it ended without a line such as " + pattern)


def check_client(scene):
    with open(scene.root + "/docs/protocol.md", encoding="utf-8") as page:
        code = re.search(r"^<!-- test: client.py -->\n```python\n(.*?)^```$", page.read(), flags=re.S | re.M)[1]
    with open(scene.folder + "/client.py", "w", encoding="utf-8") as file:
        file.write(code)
    bridge, port = scene.start_bridge("0")
    client = scene.start(sys.executable, scene.folder + "/client.py", "127.0.0.1:" + port, scene.certificate,
                         scene.token, PYTHONPATH=scene.folder)
    first, settings = (int(number) for number in wait_for(client, r"^snapshot #(\d+): (\d+) settings$").groups())
    assert settings > 100, "%d settings" % settings
    scene.command("set", "log_level", "debug")
    wait_for(client, r'^update #%d: log_level = "debug" \(cli\)$' % (first + 1))
    scene.command("set", "api_key", "not-a-real-key")
    wait_for(client, r"^update #%d: api_key = \*{8} \(cli\)$" % (first + 2))
    bridge.terminate()
    assert bridge.wait() == 0
    wait_for(client, r"^UNAVAILABLE ")
    scene.start_bridge(port)
    wait_for(client, r"^PERMISSION_DENIED session_id '.*' not found: ")
    wait_for(client, r"^snapshot #%d: %d settings$" % (first + 2, settings))
    return port


def load(path):
    specification = importlib.util.spec_from_file_location("stub_" + re.sub(r"\W", "_", path), path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Reflection:
    def __init__(self, scene, port, version):
        with open(scene.certificate, "rb") as pem, open(scene.token, encoding="ascii") as token:
            pem, token = pem.read(), token.read()
        # Not as a package: it would be taken for a part of grpcio.
        self.stub = load("%s/grpc/reflection/%s/reflection_pb2.py" % (scene.folder, version))
        self.asked = queue.Queue()
        self.channel = grpc.secure_channel("127.0.0.1:" + port, grpc.ssl_channel_credentials(pem, pem, pem))
        self.answers = self.channel.stream_stream(
            "/grpc.reflection.%s.ServerReflection/ServerReflectionInfo" % version,
            self.stub.ServerReflectionRequest.SerializeToString, self.stub.ServerReflectionResponse.FromString)(
                iter(self.asked.get, None), metadata=[("authorization", "bearer " + token)], timeout=60)

    def ask(self, **what):
        self.asked.put(self.stub.ServerReflectionRequest(**what))
        return next(self.answers)

    def end(self):
        self.asked.put(None)
        assert not list(self.answers) and self.answers.code() == grpc.StatusCode.OK
        self.channel.close()


def check_reflection(scene, port, version):
    """A pool takes a file only when all it needs is there."""
    reflection, files, pool, known = Reflection(scene, port, version), {}, descriptor_pool.DescriptorPool(), set()
    services = [service.name for service in reflection.ask(list_services="").list_services_response.service]
    for service in services:
        for encoded in reflection.ask(file_containing_symbol=service).file_descriptor_response.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(encoded)
            files[file.name] = file
    reflection.end()

    def add(name):
        if name not in known:
            known.add(name)
            for imported in files[name].dependency:
                add(imported)
            pool.Add(files[name])

    for name in files:
        add(name)
    methods = sum(len(pool.FindServiceByName(service).methods) for service in services)
    assert len(services) == 6 and methods == 12, "%d services, %d methods" % (len(services), methods)
    return len(files)


def main():
    scene = Scene(os.path.abspath(sys.argv[1]))
    try:
        scene.make_stubs()
        scene.start_daemon()
        port = check_client(scene)
        files = [check_reflection(scene, port, version) for version in ("v1", "v1alpha")]
    finally:
        scene.close()
    print("the client followed, was sent away and came back; %d files are described" % files[0])


if __name__ == "__main__":
    main()
