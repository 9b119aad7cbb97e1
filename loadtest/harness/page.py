"""The HTML report: the tables of `report` and plots as inline SVG, in one file without others.

Colours follow the reader's light or dark setting. It computes nothing that the tables do not have.
"""

import html
import statistics

from . import report

_STYLE = """
:root { --ground: #fcfcfa; --ink: #1d2327; --soft: #67727a; --line: #dfe3e6; --panel: #ffffff;
  --user: #2f7fc1; --system: #9cc7ea; --ours: #d9622b; --ours-soft: #f2b795; --bad: #c0392b; }
@media (prefers-color-scheme: dark) { :root { --ground: #14181b; --ink: #e6eaed; --soft: #93a0a9; --line: #2c3439;
  --panel: #1b2125; --user: #5aa6e6; --system: #2d5f8a; --ours: #f08a55; --ours-soft: #8a4a28; --bad: #ff7b6b; } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 72rem; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2.5rem 0 .25rem }
p { color: var(--soft); margin: .25rem 0 1rem; max-width: 48rem }
.panel { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 0 0 1rem;
  overflow-x: auto }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; width: 100% }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left } th { color: var(--soft); font-weight: 500 }
tr:last-child td { border-bottom: 0 } tr.ours td { font-weight: 600 } .bad { color: var(--bad) }
svg { display: block; width: 100%; height: auto; max-width: 60rem; font: 12px system-ui, sans-serif }
svg text { fill: var(--ink) } svg .soft { fill: var(--soft) } svg .axis { stroke: var(--line) }
figcaption { color: var(--soft); font-size: .85rem; margin-bottom: .5rem } figure { margin: 0 }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1.25rem }
"""

_INTRODUCTION = {
    "cpu": "CPU time of the proxy's processes per request, closed loop over kept-alive connections. Lower is better; "
           "the floor relays bytes and knows no HTTP. Compare the ratios: they are taken within each round.",
    "latency": "Open loop at one fixed rate for all. Latency counts from the moment at which a request was meant to "
               "leave, so a stall is reported in full.",
    "idle": "Resident memory per kept-alive connection that has carried a request, then after a burst over all of "
            "them, then after all have closed.",
    "body": "One long body at a time in each direction. Memory must stay flat.",
    "reload": "A new configuration every 100 ms under load over kept-alive connections. Then: does a connection "
              "that was open before see the new generation at its next request?",
    "kill": "One of two origins is killed (SIGKILL) under load.",
}


def render(document: dict) -> str:
    """The whole page."""
    about = document["about"]
    versions = ", ".join(f"{name} {version}".strip() for name, version in about["peers"].items())
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>",
        f"<title>Load tests {_safe(about['when'])}</title><style>{_STYLE}</style>",
        "<h1>Load tests</h1>",
        f"<p>{_safe(about['when'])} · {_safe(about['machine'])} · Linux {_safe(about['kernel'])} · load average "
        f"{about['load_average']:.1f} at the start<br>{_safe(versions)}</p>",
    ]
    for scene, samples in document["scenes"].items():
        if samples:
            parts.append(f"<h2>{scene}</h2><p>{_INTRODUCTION[scene]}</p>")
            parts.append(_PLOTS[scene](samples))
            parts.append(_table(*report.rows(document, scene)))
    for failed in document["failed"]:
        parts.append(f"<p class=bad>{_safe(failed['scene'])}: {_safe(failed['peer'])}: {_safe(failed['why'])}</p>")
    for name, hint in document["missing"].items():
        parts.append(f"<p>skipped {_safe(name)}: {_safe(hint)}</p>")
    return "\n".join(parts) + "\n"


def _safe(text) -> str:
    return html.escape(str(text))


def _is_ours(name: str) -> bool:
    return name.startswith("sluice")


def _table(head: list, rows: list) -> str:
    lines = ["<div class=panel><table><tr>", *(f"<th>{_safe(cell)}</th>" for cell in head), "</tr>"]
    for row in rows:
        lines.append("<tr class=ours>" if _is_ours(row[0]) else "<tr>")
        lines += [f"<td>{_safe(cell)}</td>" for cell in row]
        lines.append("</tr>")
    return "".join(lines) + "</table></div>"


def _bars(title: str, values: list, unit: str, digits=1) -> str:
    """Horizontal bars; a value is (name, parts) with one or two stacked parts."""
    row, left, width = 24, 110, 640
    most = max((sum(parts) for _, parts in values), default=0) or 1
    marks = []
    for index, (name, parts) in enumerate(values):
        y, x = index * row + 4, float(left)
        colours = ("var(--ours)", "var(--ours-soft)") if _is_ours(name) else ("var(--user)", "var(--system)")
        marks.append(f"<text x={left - 8} y={y + 13} text-anchor=end>{_safe(name)}</text>")
        for colour, part in zip(colours, parts):
            length = max(part, 0) / most * (width - left - 90)
            marks.append(f"<rect x={x:.1f} y={y} width={length:.1f} height={row - 8} fill='{colour}' rx=2 />")
            x += length
        marks.append(f"<text class=soft x={x + 6:.1f} y={y + 13}>{sum(parts):,.{digits}f} {unit}</text>")
    height = len(values) * row + 6
    return (f"<figure><figcaption>{_safe(title)}</figcaption><svg viewBox='0 0 {width} {height}' role=img "
            f"aria-label='{_safe(title)}'>{''.join(marks)}</svg></figure>")


def _lines(title: str, series: dict, unit: str, step_s: float) -> str:
    """Lines over time, one panel's width, named at their ends by a legend below."""
    width, height, left, bottom = 640, 190, 60, 24
    most = max((max(values) for values in series.values() if values), default=0) or 1
    digits = 0 if most >= 10 else 2
    longest = max((len(values) for values in series.values()), default=1)
    palette = ["var(--user)", "#4aa36b", "#a774c9", "#c9a227", "#8a8f94", "#d16a8a", "#3fa7a3", "#7d6bd1"]
    marks = [f"<line class=axis x1={left} y1={y:.0f} x2={width - 8} y2={y:.0f} />"
             f"<text class=soft x={left - 6} y={y + 4:.0f} text-anchor=end>{most * share:,.{digits}f}</text>"
             for share in (0, 0.5, 1) for y in [8 + (1 - share) * (height - bottom - 8)]]
    legend = []
    for index, (name, values) in enumerate(series.items()):
        colour = "var(--ours)" if _is_ours(name) else palette[index % len(palette)]
        points = " ".join(
            f"{left + i / max(longest - 1, 1) * (width - left - 8):.1f},"
            f"{8 + (1 - value / most) * (height - bottom - 8):.1f}" for i, value in enumerate(values))
        marks.append(f"<polyline fill=none stroke='{colour}' stroke-width=1.6 points='{points}' />")
        legend.append(f"<span style='color:{colour}'>&#9632;</span> {_safe(name)}")
    end = (longest - 1) * step_s
    marks.append(f"<text class=soft x={left} y={height - 6}>0 s</text>"
                 f"<text class=soft x={width - 8} y={height - 6} text-anchor=end>{end:.1f} s</text>")
    return (f"<figure><figcaption>{_safe(title)}, {unit}</figcaption><svg viewBox='0 0 {width} {height}' role=img "
            f"aria-label='{_safe(title)}'>{''.join(marks)}</svg><figcaption>{' &nbsp; '.join(legend)}</figcaption></figure>")


def _panel(*figures: str) -> str:
    return f"<div class='panel plots'>{''.join(figures)}</div>"


def _cpu(scene: dict) -> str:
    cost = []
    for name, samples in scene.items():
        # The medians of the parts need not add up to the median of the whole, which the table shows.
        user, system = (report.median_of(samples, lambda s, p=part: s[p]) for part in ("user_us", "system_us"))
        whole = report.median_of(samples, lambda s: s["cpu_us"]) / ((user + system) or 1)
        cost.append((name, (user * whole, system * whole)))
    speed = [(name, (report.median_of(samples, lambda s: s["requests_per_second"]),)) for name, samples in scene.items()]
    return _panel(_bars("CPU per request: user (dark) and system (light)", cost, "us"),
                  _bars("Requests per second; the load's core is often the limit", speed, "/s", 0))


def _latency(scene: dict) -> str:
    def bars(quantile):
        values = [(name, (report.median_of(samples, lambda s: s["latency_us"][quantile]),))
                  for name, samples in scene.items()]
        return _bars(f"{quantile} at {next(iter(scene.values()))[0]['rate']:,.0f} requests/s", values, "us", 0)

    return _panel(*(bars(quantile) for quantile in ("p50", "p99", "p99.9")))


def _idle(scene: dict) -> str:
    each = [(name, (samples[-1]["bytes_per_connection"],)) for name, samples in scene.items()]
    after = [(name, (max(0, samples[-1]["after_close_bytes"] - samples[-1]["base_bytes"]) / report.MIB,))
             for name, samples in scene.items()]
    return _panel(_bars("Resident bytes per idle connection", each, "B", 0),
                  _bars("Still resident after burst and close, above the start", after, "MiB"))


def _body(scene: dict) -> str:
    figures = []
    for way, title in (("down", "Download"), ("up", "Upload")):
        values = [(name, (statistics.median(s[way]["cpu_seconds_per_gigabyte"] for s in samples),))
                  for name, samples in scene.items()]
        figures.append(_bars(f"{title}: CPU seconds per gigabyte", values, "s/GB", 2))
    return _panel(*figures)


def _over_time(scene: dict, title: str) -> tuple:
    step = next(iter(scene.values()))[-1]["bucket_ms"] / 1000
    failed = {name: samples[-1]["failed_by_bucket"] for name, samples in scene.items()}
    late = {name: [us / 1000 for us in samples[-1]["latency_us_max_by_bucket"]] for name, samples in scene.items()}
    return (_lines(f"Failed requests per 100 ms {title}", failed, "requests", step),
            _lines(f"Worst latency per 100 ms {title}", late, "ms", step))


def _reload(scene: dict) -> str:
    memory = {name: [b / report.MIB for b in samples[-1]["memory_bytes"]] for name, samples in scene.items()}
    longest = max(samples[-1]["seconds"] for samples in scene.values())
    steps = max(len(values) for values in memory.values()) - 1
    return _panel(*_over_time(scene, "under reloads"),
                  _lines("Memory over each peer's own reloads", memory, "MiB", longest / steps))


def _kill(scene: dict) -> str:
    return _panel(*_over_time(scene, "around the kill"))


_PLOTS = {"cpu": _cpu, "latency": _latency, "idle": _idle, "body": _body, "reload": _reload, "kill": _kill}
