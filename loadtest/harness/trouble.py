"""Scenes in which something changes under load: reload, kill."""

import http.client
import time

from .rig import LoadError, Rig, Running

#: Kept-alive connections that are asked for the generation after a reload.
PROBES = 8
#: A reload that is not in force after this time has failed.
LIVE_WITHIN_S = 5.0
#: A signal without effect for this long is sent again, and counted.
REPEAT_AFTER_S = 1.0


def reload(rig: Rig, running: Running, settings) -> dict:
    """Reloads every 100 ms under keep-alive load, then looks who sees a new generation when."""
    reloads = settings.reloads if running.peer.name.startswith("sluice") else min(
        settings.reloads, settings.peer_reloads)
    seconds = reloads * settings.reload_every + 1
    load = rig.start_tool("load", "--target", running.address, "--rate", settings.reload_rate, "--seconds", seconds,
                          "--connections", 32, "--path", "/items-00000/1")
    time.sleep(0.5)
    memory = [running.child.memory()]
    begun = time.monotonic()
    for number in range(reloads):
        running.rewrite(f"generation {number + 1}")
        running.reload()
        if (number + 1) % max(1, reloads // 10) == 0:
            memory.append(running.child.memory())
        time.sleep(max(0, begun + (number + 1) * settings.reload_every - time.monotonic()))
    counts = rig.finish_tool(load, seconds + 30)
    running.check_alive()
    time.sleep(settings.settle)
    memory.append(running.child.memory())
    return {
        **counts,
        "reloads": reloads,
        "memory_bytes": memory,
        "generations": _generations(running, reloads, settings.generation_reloads),
    }


def _generations(running: Running, first: int, reloads: int) -> dict:
    """Does a kept-alive connection see a new generation at its next request, once it is live?"""
    seen = {"asked": 0, "new": 0, "stale": 0, "closed": 0, "signals_lost": 0, "live_ms": []}
    for number in range(first + 1, first + 1 + reloads):
        wanted = f"generation {number}"
        kept = [http.client.HTTPConnection("127.0.0.1", running.port, timeout=5) for _ in range(PROBES)]
        try:
            for connection in kept:
                running.get("/generation", connection)
                # A new connection would hide that the old one was closed.
                connection.auto_open = 0
            running.rewrite(wanted)
            begun = time.monotonic()
            running.reload()
            seen["signals_lost"] += _await_live(running, wanted)
            seen["live_ms"].append((time.monotonic() - begun) * 1000)
            for connection in kept:
                seen["asked"] += 1
                seen[_answer(running, connection, wanted)] += 1
        finally:
            for connection in kept:
                connection.close()
    return seen


def _await_live(running: Running, wanted: str) -> int:
    """Returns when a new connection sees the generation, with how often the signal was repeated.

    A program that starts itself anew (HAProxy's master) may miss a signal meanwhile.
    """
    begun = time.monotonic()
    lost = 0
    while time.monotonic() - begun < LIVE_WITHIN_S:
        if time.monotonic() - begun > (lost + 1) * REPEAT_AFTER_S:
            running.reload()
            lost += 1
        try:
            if running.get("/generation")[1].decode().strip() == wanted:
                return lost
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.002)
    raise LoadError(f"{running.peer.name}: {wanted!r} was not live within {LIVE_WITHIN_S:.0f} s: {running.tail()}")


def _answer(running: Running, connection, wanted: str) -> str:
    try:
        said = running.get("/generation", connection)[1].decode().strip()
    except (OSError, http.client.HTTPException):
        return "closed"
    return "new" if said == wanted else "stale"


def kill(rig: Rig, running: Running, settings) -> dict:
    """Kills one of two origins under load: what fails, how, and for how long."""
    before, after = settings.kill_before, settings.kill_after
    load = rig.start_tool("load", "--target", running.address, "--rate", settings.reload_rate, "--seconds",
                          before + after, "--connections", 32, "--path", "/items-00000/1", "--timeout-ms", 3000)
    begun = time.monotonic()
    try:
        time.sleep(before)
        rig.kill_origin(1)
        killed_ms = (time.monotonic() - begun) * 1000
        counts = rig.finish_tool(load, before + after + 30)
    finally:
        rig.revive_origin(1)
    running.check_alive()
    failing_ms = counts["last_failure_ms"] - killed_ms if counts["failed"] else 0
    return {**counts, "killed_ms": killed_ms, "failing_ms": max(0, failing_ms)}
