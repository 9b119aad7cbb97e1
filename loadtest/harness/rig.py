"""The rig: a work directory, two origins on one core, one peer at a time on the other.

It starts and ends what a scene needs and knows nothing of what the scene measures.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from . import process
from .peers import HERE, Peer, fill, sluice_routes

LOADTOOL = HERE / "tools" / "target" / "release" / "loadtool"
#: A peer that carries no request within this time does not run.
READY_WITHIN_S = 15.0
#: The answer that every scene expects.
HELLO = b"hello, world\n"


class LoadError(Exception):
    """A peer, an origin or a generator that did not do its part; the text says which and how."""


@dataclass(frozen=True)
class Cores:
    """Where things run: the peer alone, everything else beside each other."""

    proxy: int
    load: int


class Running:
    """A peer that runs, its address and its files."""

    def __init__(self, peer: Peer, child: process.Child, values: dict, rig: "Rig"):
        self.peer, self.child, self.values, self.rig = peer, child, values, rig
        self.address = f"127.0.0.1:{values['PORT']}"
        self.port = int(values["PORT"])

    def rewrite(self, generation: str) -> None:
        """Writes the configuration anew with another generation in it, in one step."""
        self.values["GENERATION"] = generation
        self.rig.write_templates(self.peer, self.values)

    def reload(self) -> None:
        self.child.signal(self.peer.reload_signal)

    def get(self, path="/", connection=None, timeout=5.0):
        """One request; the status, the body and the response."""
        made = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            made.request("GET", path)
            response = made.getresponse()
            return response.status, response.read(), response
        finally:
            if connection is None:
                made.close()

    def check_alive(self) -> None:
        if not self.child.alive():
            raise LoadError(f"{self.peer.name} ended by itself: {self.tail()}")

    def tail(self) -> str:
        """The end of what the peer said, for an error's text."""
        lines = []
        for path in (Path(self.values["DIR"]) / "stderr", Path(self.values["DIR"]) / "error.log"):
            if path.exists():
                lines += path.read_text(errors="replace").strip().splitlines()[-5:]
        return " | ".join(lines) or "it said nothing"

    def stop(self) -> None:
        self.child.stop()
        shutil.rmtree(self.values["DIR"], ignore_errors=True)


class Rig:
    """What is up during a run. Use it in a `with` block: leaving it ends and removes everything."""

    def __init__(self, cores: Cores, routes: int, access_log: bool):
        self.cores, self.routes, self.access_log = cores, routes, access_log
        self.directory = Path(tempfile.mkdtemp(prefix="sluice-loadtest-"))
        # A proxy that gives up root must still reach its files.
        self.directory.chmod(0o755)
        self.origins: list[process.Child] = []
        self.origin_ports: list[int] = []
        self._sequence = 0

    def __enter__(self):
        for name in "ab":
            port = free_port()
            self.origin_ports.append(port)
            self.origins.append(self._start_origin(name, port))
        return self

    def __exit__(self, *_):
        process.stop_all()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start_origin(self, name: str, port: int) -> process.Child:
        command = [LOADTOOL, "origin", "--listen", f"127.0.0.1:{port}", "--name", name]
        child = process.Child(command, self.cores.load)
        _await(lambda: _connects(port), child, "the origin")
        return child

    def kill_origin(self, index: int) -> None:
        self.origins[index].stop(grace=0)

    def revive_origin(self, index: int) -> None:
        self.origins[index] = self._start_origin("ab"[index], self.origin_ports[index])

    def start(self, peer: Peer, generation="generation 0") -> Running:
        """Starts a peer and returns when it has carried requests to the origins."""
        self._sequence += 1
        directory = self.directory / f"{self._sequence}-{peer.name}"
        directory.mkdir()
        values = self._values(directory, generation)
        values["BINARY"] = peer.binary()
        self.write_templates(peer, values)
        command = [fill(word, values, self.access_log) for word in peer.command]
        environment = {**os.environ, **{k: fill(v, values, True) for k, v in peer.environment.items()}}
        with open(directory / "stdout", "w") as stdout, open(directory / "stderr", "w") as stderr:
            child = process.Child([word for word in command if word], self.cores.proxy, env=environment,
                                  cwd=directory, stdout=stdout, stderr=stderr)
        running = Running(peer, child, values, self)
        self._await_carrying(running)
        return running

    def _values(self, directory: Path, generation: str) -> dict:
        a, b = self.origin_ports
        connections = min(process.files_max() - 600, 60000)
        return {
            "DIR": directory, "LOG": directory / "access.log", "PORT": free_port(), "ADMIN_PORT": free_port(),
            "LOG_IF_ANY": directory / "access.log" if self.access_log else "",
            "ORIGIN_A": f"127.0.0.1:{a}", "ORIGIN_A_HOST": "127.0.0.1", "ORIGIN_A_PORT": a,
            "ORIGIN_B": f"127.0.0.1:{b}", "ORIGIN_B_HOST": "127.0.0.1", "ORIGIN_B_PORT": b,
            "CONNECTIONS": connections, "HALF_CONNECTIONS": connections // 2,
            "GENERATION": generation, "ROUTE_COUNT": self.routes, "ROUTES": sluice_routes(self.routes),
        }

    def write_templates(self, peer: Peer, values: dict) -> None:
        for name in peer.templates:
            text = fill((HERE / "peers" / name).read_text(), values, self.access_log)
            target = Path(values["DIR"]) / name
            half_written = target.with_suffix(".new")
            half_written.write_text(text)
            half_written.rename(target)

    def _await_carrying(self, running: Running) -> None:
        def carries():
            status, body, _ = running.get("/items-00000/1", timeout=1.0)
            return status == 200 and body == HELLO

        try:
            _await(carries, running.child, running.peer.name)
        except LoadError as error:
            said = running.tail()
            running.stop()
            raise LoadError(f"{error}: {said}") from None

    def tool(self, *words, timeout: float) -> dict:
        """Runs a command of loadtool on the load core and returns its JSON."""
        child = process.Child([LOADTOOL, *words], self.cores.load, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return json.loads(self._output(child, timeout))

    def start_tool(self, *words) -> process.Child:
        return process.Child([LOADTOOL, *words], self.cores.load, stdout=subprocess.PIPE,
                             stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish_tool(self, child: process.Child, timeout: float) -> dict:
        return json.loads(self._output(child, timeout))

    def wrk(self, running: Running, seconds: float, connections: int, threads=1) -> dict:
        """Closed-loop load over the routes; the counts of wrk/routes.lua."""
        wrk = shutil.which("wrk")
        # wrk counts in whole seconds; a shorter run is a second long.
        command = [wrk, f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}", "-s",
                   HERE / "wrk" / "routes.lua", f"http://{running.address}", "--", self.routes]
        child = process.Child(command, self.cores.load, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output = self._output(child, seconds + 20)
        result = [line for line in output.splitlines() if line.startswith("RESULT ")]
        if not result:
            raise LoadError(f"wrk said: {output.strip()}")
        return json.loads(result[0].removeprefix("RESULT "))

    def _output(self, child: process.Child, timeout: float) -> str:
        try:
            stdout, stderr = child.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            child.stop(grace=0)
            raise LoadError(f"{' '.join(child.command)} took longer than {timeout:.0f} s") from None
        code = child.process.returncode
        child.stop(grace=0)
        if code != 0:
            raise LoadError(f"{' '.join(child.command[:3])}: {stderr.strip() or f'exit status {code}'}")
        return stdout


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _connects(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def _await(ready, child: process.Child, name: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    last = "it did not answer"
    while time.monotonic() < deadline:
        if not child.alive():
            raise LoadError(f"{name} ended with status {child.process.returncode}")
        try:
            if ready():
                return
            last = "it answered, but not with the origin's answer"
        except (OSError, http.client.HTTPException) as error:
            last = str(error)
        time.sleep(0.02)
    raise LoadError(f"{name} carries no request ({last})")
