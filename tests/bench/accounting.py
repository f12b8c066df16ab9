"""What a proxy used, from the kernel's books on its processes."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# The clock of a process is its number, inverted, and this: man 3 clock_getcpuclockid.
_OF_A_PROCESS: Final = 2
_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB: resident now, and the most that ever were."""

    resident: float
    peak: float


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of all threads, also of ended ones: /proc/PID/stat, but in ns."""
    return sum(time.clock_gettime((~pid << 3) | _OF_A_PROCESS) for pid in pids)


def memory(pids: Sequence[int]) -> Memory:
    read = [parse_status((_PROC / str(pid) / "status").read_text()) for pid in pids]
    return Memory(sum(one.resident for one in read), sum(one.peak for one in read))


def parse_status(text: str) -> Memory:
    """Take the two lines out of /proc/PID/status."""
    kib = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in text.splitlines())
        if name in {"VmRSS", "VmHWM"}
    }
    return Memory(kib["VmRSS"] / 1024, kib["VmHWM"] / 1024)


def tree(pid: int) -> tuple[int, ...]:
    """Return a process and all that descend from it."""
    parents = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = parse_parent((entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has just ended
    found = [pid]
    for one in found:
        found += sorted(child for child, parent in parents.items() if parent == one)
    return tuple(found)


def parse_parent(text: str) -> int:
    """Take the parent out of /proc/PID/stat; the name before it may hold anything."""
    return int(text.rpartition(")")[2].split()[1])


def rest(pids: Sequence[int], within: float = 5.0) -> None:
    """Wait until a proxy does nothing: what it puts off belongs to the requests before."""
    until, before = time.monotonic() + within, cpu_seconds(pids)
    while time.monotonic() < until:
        time.sleep(0.1)
        now = cpu_seconds(pids)
        if now - before < 0.001:
            return
        before = now


def machine() -> dict[str, str]:
    """Return what the figures depend on and a reader cannot see."""
    info = (_PROC / "cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    kib = int((_PROC / "meminfo").read_text().split()[1])
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{kib / 2**20:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
    }
