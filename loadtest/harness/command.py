"""The command line: options, which peers and scenes run, turns, and the exit status."""

import argparse
import datetime
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import time

from . import page, process, report, selfcheck, steady, trouble
from .peers import HERE, all_peers
from .rig import Cores, LoadError, Rig

#: What measures a peer in a scene, and how many rounds are of use.
SCENES = {
    "cpu": steady.cpu,
    "latency": steady.latency,
    "idle": steady.idle,
    "body": steady.body,
    "reload": trouble.reload,
    "kill": trouble.kill,
}
#: Scenes that one round tells enough about.
SINGLE_ROUND = {"idle", "reload", "kill"}
SMOKE_PEERS = "floor,sluice,nginx,haproxy"
SMOKE = {
    "rounds": 1, "seconds": 0.3, "connections": 16, "routes": 50, "rate": 500, "latency_connections": 8,
    "idle_connections": 100, "burst": 50, "settle": 0.05, "body_bytes": 20_000_000, "reloads": 5,
    "peer_reloads": 5, "reload_rate": 200, "generation_reloads": 2, "kill_before": 0.2, "kill_after": 0.4,
}


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="loadtest/run", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measures Sluice beside other proxies and a floor, on two cores of this machine.",
        epilog="""examples:
  loadtest/run                                    everything, every peer that is installed (about 15 minutes)
  loadtest/run --scene cpu --rounds 7             the table of CPU per request
  loadtest/run --peers floor,sluice,nginx --scene cpu,latency --seconds 10
  loadtest/run --sluice ./target/release/sluice --scene reload --reloads 1000
  loadtest/run --smoke --require sluice           for CI: everything tiny; fails if Sluice is missing
  loadtest/run --selfcheck                        does the load generator report a stall truly?
  loadtest/run --list                             which peers are installed, and how to get the others""")
    add = parser.add_argument
    add("--scene", default=",".join(SCENES), metavar="NAMES", help=f"of {','.join(SCENES)} (all)")
    add("--peers", metavar="NAMES", help="which peers, comma-separated (every one that is installed)")
    add("--require", default="", metavar="NAMES", help="fail if one of these peers is missing")
    add("--sluice", default=str(HERE.parent / "target" / "release" / "sluice"), metavar="PATH",
        help="the gateway's binary (target/release/sluice)")
    add("--sluice-args", default="", metavar="TEXT", help="more words after `sluice run --config FILE`")
    add("--smoke", action="store_true", help="everything tiny, to see that it all works; numbers mean nothing")
    add("--selfcheck", action="store_true", help="only stall an origin and see that the generator reports it")
    add("--list", action="store_true", help="only list the peers")
    add("--rounds", type=int, default=5, help="turns per peer in cpu, latency and body (5)")
    add("--seconds", type=float, default=5, help="length of a measured run in cpu and latency (5)")
    add("--connections", type=int, default=64, help="of the closed loop in cpu (64)")
    add("--routes", type=int, default=1000, help="routes that Sluice has and the load asks for (1000)")
    add("--no-access-log", action="store_true", help="all peers without an access log")
    add("--rate", type=float, default=4000, help="requests per second in latency, the same for all (4000)")
    add("--latency-connections", type=int, default=64, help="in latency (64)")
    add("--idle-connections", type=int, default=9000, help="in idle (9000, or what the descriptor limit allows)")
    add("--burst", type=int, default=2000, help="requests at once over the idle connections (2000)")
    add("--settle", type=float, default=2, help="seconds before memory is read (2)")
    add("--body-bytes", type=int, default=2_000_000_000, help="of one body in body (2000000000)")
    add("--reloads", type=int, default=1000, help="of Sluice in reload (1000)")
    add("--peer-reloads", type=int, default=100, help="at most so many of the other peers (100)")
    add("--reload-every", type=float, default=0.1, help="seconds between two reloads (0.1)")
    add("--reload-rate", type=float, default=1000, help="requests per second in reload and kill (1000)")
    add("--generation-reloads", type=int, default=20, help="reloads after which kept connections are asked (20)")
    add("--kill-before", type=float, default=2, help="seconds of load before the origin is killed (2)")
    add("--kill-after", type=float, default=8, help="seconds of load after it (8)")
    add("--cores", default="0,1", metavar="P,L", help="core of the proxy, core of load and origins (0,1)")
    add("--results", default=str(HERE / "results"), metavar="DIR", help="where reports go (loadtest/results)")
    return parser


def main() -> int:
    settings = options().parse_args()
    # A shell that starts this in the background has interrupts ignored; cleaning up needs them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return run(settings)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except LoadError as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 1
    finally:
        process.stop_all()


def run(settings) -> int:
    if settings.smoke:
        for name, value in SMOKE.items():
            setattr(settings, name, value)
        settings.peers = settings.peers or SMOKE_PEERS
    cores = _cores(settings.cores)
    scenes = _known(settings.scene, SCENES, "scene")
    _build_tools()
    peers, missing = _choose(settings)
    if settings.list:
        return 0
    # The harness itself stays off the core on which a proxy is measured.
    os.sched_setaffinity(0, {cores.load})
    if settings.selfcheck:
        return selfcheck.run(cores)
    if not shutil.which("wrk") and "cpu" in scenes:
        raise LoadError("scene cpu needs wrk (apt-get install wrk)")
    lacking = set(_names(settings.require)) & set(missing)
    if lacking:
        raise LoadError(f"required and missing: {', '.join(sorted(lacking))}")
    _fit_descriptors(settings)
    document = {"about": _about(settings, cores, peers), "missing": missing, "scenes": {}, "failed": []}
    with Rig(cores, settings.routes, not settings.no_access_log) as rig:
        for scene in scenes:
            document["scenes"][scene] = _turns(rig, scene, peers, settings, document["failed"])
    return _finish(document, settings)


def _turns(rig: Rig, scene: str, peers, settings, failed: list) -> dict:
    """Rounds over the peers in turn; a peer that fails is said so and left out of later rounds."""
    rounds = 1 if scene in SINGLE_ROUND else settings.rounds
    samples = {peer.name: [] for peer, _ in peers if scene in peer.scenes}
    for number in range(rounds):
        for peer, _ in peers:
            if peer.name not in samples or any(f["peer"] == peer.name and f["scene"] == scene for f in failed):
                continue
            print(f"{scene}: round {number + 1}/{rounds}: {peer.name} ...", file=sys.stderr, flush=True)
            try:
                running = rig.start(peer)
                try:
                    samples[peer.name].append(SCENES[scene](rig, running, settings))
                finally:
                    running.stop()
            except LoadError as error:
                print(f"  FAILED: {error}", file=sys.stderr, flush=True)
                failed.append({"scene": scene, "peer": peer.name, "why": str(error)})
    return {name: found for name, found in samples.items() if found}


def _finish(document: dict, settings) -> int:
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    directory = report.save(document, settings.results, stamp, page.render)
    print(report.text(document))
    print(f"\nsaved: {directory}/report.html, report.json, report.txt")
    wrong = report.wrong(document)
    for line in wrong if settings.smoke else []:
        print(f"loadtest: {line}", file=sys.stderr)
    return 1 if document["failed"] or (settings.smoke and wrong) else 0


def _choose(settings):
    """The peers of this run with their versions, and the ones that are missing with a hint."""
    known = {peer.name: peer for peer in all_peers(settings.sluice, shlex.split(settings.sluice_args))}
    wanted = _known(settings.peers, known, "peer") if settings.peers else list(known)
    for name in _known(settings.require, known, "peer"):
        if name not in wanted:
            wanted.append(name)
    chosen, missing = [], {}
    for name in wanted:
        peer = known[name]
        binary = peer.binary()
        if binary:
            chosen.append((peer, peer.version_text(binary)))
            if settings.list:
                print(f"{name:14} {chosen[-1][1] or '-':10} {binary}")
        else:
            missing[name] = peer.hint
            print(f"{name:14} skipped: not found; {peer.hint}", file=sys.stderr)
    return chosen, missing


def _build_tools() -> None:
    """Builds the origin, the floor and the clients; quick when nothing has changed."""
    command = ["cargo", "build", "--release", "--quiet", "--manifest-path", str(HERE / "tools" / "Cargo.toml")]
    if not shutil.which("cargo"):
        raise LoadError("cargo is needed to build loadtest/tools")
    if subprocess.run(command).returncode != 0:
        raise LoadError("loadtest/tools does not build")


def _fit_descriptors(settings) -> None:
    """Fewer idle connections where a proxy could not hold so many plus its own to the origins."""
    room = (process.files_max() - 700) // 2
    if settings.idle_connections > room:
        print(f"idle: {room} connections instead of {settings.idle_connections}: "
              f"the descriptor limit (ulimit -Hn) is {process.files_max()}", file=sys.stderr)
        settings.idle_connections = room


def _about(settings, cores: Cores, peers) -> dict:
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")
    shown = {k: v for k, v in vars(settings).items() if k not in {"results", "list", "selfcheck"}}
    return {
        "when": time.strftime("%Y-%m-%d %H:%M:%S %z"), "machine": f"{model}, {os.cpu_count()} cores",
        "kernel": platform.release(), "cores": vars(cores) if hasattr(cores, "__dict__") else str(cores),
        "load_average": os.getloadavg()[0], "settings": shown,
        "peers": {peer.name: version for peer, version in peers},
    }


def _cores(text: str) -> Cores:
    try:
        proxy, load = (int(part) for part in text.split(","))
    except ValueError:
        raise LoadError(f"--cores {text}: two numbers, as 0,1") from None
    allowed = os.sched_getaffinity(0)
    if proxy == load or not {proxy, load} <= allowed:
        raise LoadError(f"--cores {text}: two different cores out of {sorted(allowed)}")
    return Cores(proxy, load)


def _names(text: str) -> list:
    return [name.strip() for name in text.split(",") if name.strip()]


def _known(text: str, known, what: str) -> list:
    names = _names(text)
    for name in names:
        if name not in known:
            raise LoadError(f"no {what} {name!r}; there are {', '.join(known)}")
    return names
