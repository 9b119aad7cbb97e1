"""Scenes in which nothing goes wrong: cpu, latency, idle, body.

Each function measures one peer once and returns plain numbers; the runner takes turns and adds up.
"""

import select
import time

from . import process
from .rig import LoadError, Rig, Running


def cpu(rig: Rig, running: Running, settings) -> dict:
    """CPU of the peer's processes per request under a closed loop, and what passed."""
    if not settings.smoke:
        rig.wrk(running, 1, settings.connections)
    before = running.child.cpu()
    counts = rig.wrk(running, settings.seconds, settings.connections)
    spent = running.child.cpu() - before
    running.check_alive()
    errors = sum(counts["errors"].values())
    if counts["requests"] == 0:
        raise LoadError(f"{running.peer.name} carried no request")
    return {
        "cpu_us": spent.total / counts["requests"] * 1e6,
        "user_us": spent.user / counts["requests"] * 1e6,
        "system_us": spent.system / counts["requests"] * 1e6,
        "requests_per_second": counts["requests"] / (counts["duration_us"] / 1e6),
        "requests": counts["requests"],
        "busy": spent.total / (counts["duration_us"] / 1e6),
        "threads": running.child.threads(),
        "errors": errors,
        "errors_by_kind": counts["errors"],
    }


def latency(rig: Rig, running: Running, settings) -> dict:
    """Latency at a fixed rate, counted from the moment at which a request was meant to leave."""
    load_options = ("--target", running.address, "--connections", settings.latency_connections,
                    "--path", "/items-00000/1")
    rig.tool("load", *load_options, "--rate", settings.rate, "--seconds", min(1, settings.seconds), timeout=30)
    counts = rig.tool("load", *load_options, "--rate", settings.rate, "--seconds", settings.seconds,
                      timeout=settings.seconds + 30)
    running.check_alive()
    return counts


def idle(rig: Rig, running: Running, settings) -> dict:
    """Resident memory per idle connection, after a burst on all of them, and after all closed."""
    warm_up = ("--target", running.address, "--rate", 1000, "--seconds", 0.5, "--connections", 16)
    rig.tool("load", *warm_up, timeout=30)
    time.sleep(settings.settle)
    count = settings.idle_connections
    base = running.child.memory()
    holder = rig.start_tool("idle", "--target", running.address, "--connections", count,
                            "--burst", settings.burst)
    try:
        _expect(holder, "held", 120)
        time.sleep(settings.settle)
        held = running.child.memory()
        answered = _ask(holder, "burst", 120)
        after_burst = _settled(running, settings)
        open_at_end = _ask(holder, "close", 60)
        after_close = _settled(running, settings)
    finally:
        holder.stop(grace=0)
    running.check_alive()
    return {
        "connections": count,
        "bytes_per_connection": (held - base) / count,
        "base_bytes": base,
        "held_bytes": held,
        "after_burst_bytes": after_burst,
        "after_close_bytes": after_close,
        "bytes_per_connection_after_burst": (after_burst - base) / count,
        "burst_answered": answered,
        "open_at_end": open_at_end,
    }


def body(rig: Rig, running: Running, settings) -> dict:
    """One long body in each direction: speed, CPU per gigabyte, and the peak of memory."""
    measured = {}
    for direction in ("down", "up"):
        base = process.resident(running.child.pids())
        before = running.child.cpu()
        with process.PeakMemory(running.child) as peak:
            moved = rig.tool("bulk", "--target", running.address, "--bytes", settings.body_bytes,
                             "--direction", direction, timeout=180)
        spent = running.child.cpu() - before
        gigabytes = moved["bytes"] / 1e9
        measured[direction] = {
            "gigabytes": gigabytes,
            "seconds": moved["seconds"],
            "gigabytes_per_second": gigabytes / moved["seconds"],
            "cpu_seconds_per_gigabyte": spent.total / gigabytes,
            "memory_before_bytes": base,
            "memory_peak_bytes": peak.bytes,
        }
    running.check_alive()
    return measured


def _settled(running: Running, settings) -> int:
    """Memory after a wait; allocators give back late, so the least of a few looks counts."""
    least = None
    for _ in range(4):
        time.sleep(settings.settle)
        now = running.child.memory()
        least = now if least is None else min(least, now)
    return least


def _ask(holder: process.Child, command: str, seconds: float) -> int:
    holder.process.stdin.write(command + "\n")
    holder.process.stdin.flush()
    return _expect(holder, {"close": "closed"}.get(command, command), seconds)


def _expect(holder: process.Child, word: str, seconds: float) -> int:
    """Reads the line that says `word N`. The tool has timeouts of its own; this one is the last."""
    ready, _, _ = select.select([holder.process.stdout], [], [], seconds)
    line = holder.process.stdout.readline() if ready else ""
    if not line.startswith(word + " "):
        said = line.strip()
        if ready and not line:
            said = holder.process.stderr.read().strip()
        raise LoadError(f"idle connections: expected {word!r}, got {said!r}")
    return int(line.split()[1])
