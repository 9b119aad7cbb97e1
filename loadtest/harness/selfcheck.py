"""Is the open-loop generator honest? An origin is stalled for a second and must be seen to be.

At R requests a second, a stall of one second makes R requests late, evenly spread from 0 to 1 s.
Of a run of S seconds the share late by more than x is then (1 s - x) / S. A generator with
coordinated omission reports one late request per connection instead.
"""

import threading
import time
import urllib.request

from .rig import Cores, Rig

RATE, SECONDS, STALL_MS = 1000, 5.0, 1000


def run(cores: Cores) -> int:
    with Rig(cores, 1, False) as rig:
        port = rig.origin_ports[0]

        def stall():
            time.sleep(1.5)
            urllib.request.urlopen(f"http://127.0.0.1:{port}/stall/{STALL_MS}", timeout=10).read()

        thread = threading.Thread(target=stall)
        thread.start()
        counts = rig.tool("load", "--target", f"127.0.0.1:{port}", "--rate", RATE, "--seconds", SECONDS,
                          "--connections", 32, timeout=SECONDS + 30)
        thread.join()
    seen, plain = counts["latency_us"], counts["service_us"]
    # A fifth of the run stalls: p90 is the request that came halfway into the stall, p99 the one
    # that came when 95 % of it was still to pass.
    rows = [
        ("requests answered", counts["answered"], RATE * SECONDS, RATE * SECONDS),
        ("requests failed", counts["failed"], 0, 0),
        ("p50, us", seen["p50"], 0, 50_000),
        ("p90, us", seen["p90"], 400_000, 650_000),
        ("p99, us", seen["p99"], 850_000, 1_100_000),
        ("max, us", seen["max"], 950_000, 1_300_000),
        ("p90 without correction, us", plain["p90"], 0, 100_000),
    ]
    faults = 0
    for name, value, least, most in rows:
        fine = least <= value <= most
        faults += not fine
        print(f"{'ok  ' if fine else 'FAIL'} {name}: {value} (expected {least:.0f} to {most:.0f})")
    print("the generator reports a stall of one second" if not faults else "the generator is not to be trusted here")
    return 1 if faults else 0
