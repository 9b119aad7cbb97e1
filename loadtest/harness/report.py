"""The text table and the JSON of a run, and what in it is wrong.

The document is what the scenes returned; medians and ratios are made here, once, and the page
shows the same rows.
"""

import json
import statistics
from pathlib import Path

#: The peers that ratios are given against.
YARDSTICKS = ("floor", "nginx", "haproxy")
KIB, MIB = 1024, 1024 * 1024


def median_of(samples: list, key) -> float:
    return statistics.median(key(sample) for sample in samples)


def ratio(scene: dict, peer: str, yardstick: str, key) -> float | None:
    """The median of the ratios within each round, so that a slow moment of the machine cancels out."""
    pairs = list(zip(scene.get(peer, []), scene.get(yardstick, [])))
    if not pairs or any(key(under) == 0 for _, under in pairs):
        return None
    return statistics.median(key(over) / key(under) for over, under in pairs)


def rows(document: dict, scene: str) -> tuple[list, list]:
    """Headings and rows of a scene's table; every cell is a text."""
    return _TABLES[scene](document["scenes"][scene])


def _cpu(scene):
    head = ["peer", "CPU us/request", "user", "system", "spread", *(f"vs {name}" for name in YARDSTICKS),
            "requests/s", "busy", "threads", "errors"]
    table = []
    for name, samples in scene.items():
        costs = [sample["cpu_us"] for sample in samples]
        ratios = [ratio(scene, name, other, lambda s: s["cpu_us"]) for other in YARDSTICKS]
        table.append([
            name, f"{statistics.median(costs):.2f}", f"{median_of(samples, lambda s: s['user_us']):.2f}",
            f"{median_of(samples, lambda s: s['system_us']):.2f}", f"{min(costs):.1f}-{max(costs):.1f}",
            *("-" if r is None else f"{r:.2f}" for r in ratios),
            f"{median_of(samples, lambda s: s['requests_per_second']):,.0f}",
            f"{median_of(samples, lambda s: s['busy']):.0%}", str(samples[-1]["threads"]),
            str(sum(sample["errors"] for sample in samples)),
        ])
    return head, table


def _latency(scene):
    head = ["peer", "p50 us", "p90 us", "p99 us", "p99.9 us", "max us", "rate", "answered", "failed"]
    table = []
    for name, samples in scene.items():
        quantiles = (f"{median_of(samples, lambda s, q=q: s['latency_us'][q]):,.0f}"
                     for q in ("p50", "p90", "p99", "p99.9", "max"))
        table.append([name, *quantiles, f"{samples[0]['rate']:,.0f}",
                      f"{sum(s['answered'] for s in samples):,}", str(sum(s["failed"] + s["unsent"] for s in samples))])
    return head, table


def _idle(scene):
    head = ["peer", "connections", "bytes/connection", "after a burst", "before MiB", "held MiB", "after burst MiB",
            "all closed MiB", "burst answered", "still open"]
    table = []
    for name, samples in scene.items():
        s = samples[-1]
        memory = (f"{s[key] / MIB:.1f}" for key in ("base_bytes", "held_bytes", "after_burst_bytes", "after_close_bytes"))
        table.append([name, f"{s['connections']:,}", f"{s['bytes_per_connection']:,.0f}",
                      f"{s['bytes_per_connection_after_burst']:,.0f}", *memory,
                      f"{s['burst_answered']:,}", f"{s['open_at_end']:,}"])
    return head, table


def _body(scene):
    head = ["peer", "down GB/s", "CPU s/GB", "peak MiB", "up GB/s", "CPU s/GB", "peak MiB", "before MiB"]
    table = []
    for name, samples in scene.items():
        cells = []
        for way in ("down", "up"):
            cells += [f"{median_of(samples, lambda s, w=way: s[w]['gigabytes_per_second']):.2f}",
                      f"{median_of(samples, lambda s, w=way: s[w]['cpu_seconds_per_gigabyte']):.2f}",
                      f"{max(s[way]['memory_peak_bytes'] for s in samples) / MIB:.1f}"]
        table.append([name, *cells, f"{samples[0]['down']['memory_before_bytes'] / MIB:.1f}"])
    return head, table


def _reload(scene):
    head = ["peer", "reloads", "requests", "failed", "kinds", "p50 us", "p99.9 us", "max us", "memory MiB first-last",
            "live ms", "signals lost", "kept: new", "stale", "closed"]
    table = []
    for name, samples in scene.items():
        s, seen = samples[-1], samples[-1]["generations"]
        live = f"{statistics.median(seen['live_ms']):.0f}" if seen["live_ms"] else "-"
        table.append([name, str(s["reloads"]), f"{s['sent']:,}", str(s["failed"] + s["unsent"]), kinds(s),
                      *(f"{s['latency_us'][q]:,}" for q in ("p50", "p99.9", "max")),
                      f"{s['memory_bytes'][0] / MIB:.1f}-{s['memory_bytes'][-1] / MIB:.1f}", live,
                      str(seen["signals_lost"]),
                      f"{seen['new']}/{seen['asked']}", str(seen["stale"]), str(seen["closed"])])
    return head, table


def _kill(scene):
    head = ["peer", "requests", "failed", "kinds", "failing for ms", "p99 us", "p99.9 us", "max us"]
    table = []
    for name, samples in scene.items():
        s = samples[-1]
        table.append([name, f"{s['sent']:,}", str(s["failed"] + s["unsent"]), kinds(s), f"{s['failing_ms']:,.0f}",
                      *(f"{s['latency_us'][q]:,}" for q in ("p99", "p99.9", "max"))])
    return head, table


_TABLES = {"cpu": _cpu, "latency": _latency, "idle": _idle, "body": _body, "reload": _reload, "kill": _kill}


def kinds(sample: dict) -> str:
    """The failures of an open-loop run that happened, by kind."""
    happened = [f"{name} {count}" for name, count in sample["failures"].items() if count]
    if sample["unsent"]:
        happened.append(f"unsent {sample['unsent']}")
    return ", ".join(happened) or "-"


def wrong(document: dict) -> list:
    """What no healthy run has: failed requests where nothing was broken on purpose."""
    found = []
    for name, samples in document["scenes"].get("cpu", {}).items():
        errors = sum(sample["errors"] for sample in samples)
        if errors:
            found.append(f"cpu: {name}: {errors} errors")
    for scene in ("latency", "reload"):
        for name, samples in document["scenes"].get(scene, {}).items():
            # Other proxies may drop connections in a reload; that is what the scene is there to show.
            if scene == "latency" or name.startswith("sluice"):
                failed = sum(sample["failed"] + sample["unsent"] for sample in samples)
                found += [f"{scene}: {name}: {failed} requests failed"] if failed else []
    return found


def text(document: dict) -> str:
    about = document["about"]
    versions = ", ".join(f"{name} {version}".strip() for name, version in about["peers"].items())
    parts = [f"{about['when']}  {about['machine']}  Linux {about['kernel']}  load average {about['load_average']:.1f}",
             f"peers: {versions}"]
    for scene in document["scenes"]:
        if document["scenes"][scene]:
            head, table = rows(document, scene)
            parts.append(f"\n{scene}\n{_aligned(head, table)}")
    parts += [f"\nFAILED {f['scene']}: {f['peer']}: {f['why']}" for f in document["failed"]]
    parts += [f"skipped {name}: {hint}" for name, hint in document["missing"].items()]
    return "\n".join(parts)


def _aligned(head: list, table: list) -> str:
    widths = [max(len(row[column]) for row in [head, *table]) for column in range(len(head))]

    def line(row):
        return "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths)))

    return "\n".join([line(head), "  ".join("-" * width for width in widths), *map(line, table)])


def save(document: dict, results: str, stamp: str, render) -> Path:
    """Writes the three reports into a new directory and points `latest` at it."""
    directory = Path(results) / stamp
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(document, indent=1))
    (directory / "report.txt").write_text(text(document) + "\n")
    (directory / "report.html").write_text(render(document))
    latest = Path(results) / "latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(stamp)
    return directory
