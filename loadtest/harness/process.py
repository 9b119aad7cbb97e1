"""Child processes: started on chosen cores, measured through /proc, ended without fail.

Every child leads a process group of its own, so that a proxy's workers are counted with it and
ended with it. Nothing here ends a process that it did not start.
"""

import ctypes
import os
import resource
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_running: list["Child"] = []


@dataclass(frozen=True)
class Cpu:
    """CPU seconds spent by a process group."""

    user: float
    system: float

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.user - earlier.user, self.system - earlier.system)

    @property
    def total(self) -> float:
        return self.user + self.system


def files_max() -> int:
    """The most descriptors that a child may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


class Child:
    """A started program and everything that it forks."""

    def __init__(self, command, core, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                 stderr=None, env=None, cwd=None):
        def before_exec():
            os.sched_setaffinity(0, {core})
            hard = files_max()
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            # If the harness is killed outright, what it started goes too.
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(
            self.command, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd,
            start_new_session=True, preexec_fn=before_exec, text=True,
        )
        self.pid = self.process.pid
        _running.append(self)

    def alive(self) -> bool:
        return self.process.poll() is None

    def pids(self) -> list[int]:
        """The processes of this child's group."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                fields = _stat(int(entry))
                if fields and int(fields[2]) == self.pid and fields[0] != "Z":
                    found.append(int(entry))
        return found

    def cpu(self) -> Cpu:
        """CPU spent so far by the group, with what ended children of its leader had spent."""
        user = system = 0
        for pid in self.pids():
            fields = _stat(pid)
            if fields:
                user += int(fields[11])
                system += int(fields[12])
        leader = _stat(self.pid)
        if leader:
            user += int(leader[13])
            system += int(leader[14])
        return Cpu(user / TICKS_PER_SECOND, system / TICKS_PER_SECOND)

    def threads(self) -> int:
        return sum(int(fields[17]) for fields in map(_stat, self.pids()) if fields)

    def memory(self) -> int:
        """Resident bytes of the group; pages that its processes share are counted once."""
        return sum(_proportional_bytes(pid) for pid in self.pids())

    def signal(self, number: int) -> None:
        if self.alive():
            self.process.send_signal(number)

    def stop(self, grace=0.3) -> None:
        """Ends the whole group: asks, waits a little, then kills."""
        deadline = time.monotonic() + grace
        self._signal_group(signal.SIGTERM)
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._signal_group(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()
        if self in _running:
            _running.remove(self)

    def _signal_group(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass


def stop_all() -> None:
    """Ends every child that still runs, the last started first."""
    for child in reversed(list(_running)):
        child.stop(grace=0)


class PeakMemory:
    """The largest resident size of a child while a `with` block runs, by sampling."""

    def __init__(self, child: Child, every=0.02):
        # Looking through all of /proc at every sample would load the machine that is measured.
        self.pids, self.every, self.bytes = child.pids(), every, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self._over.wait(self.every):
            self.bytes = max(self.bytes, resident(self.pids))

    def __enter__(self):
        self.bytes = resident(self.pids)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def resident(pids: list[int]) -> int:
    """Resident bytes of processes, shared pages counted in each: cheap enough to sample."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
        except (OSError, IndexError):
            pass
    return total


def _stat(pid: int):
    """Fields of /proc/PID/stat from the state on; a name may hold spaces and parentheses."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _proportional_bytes(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
