"""What the operating system knows: CPU time of process trees, memory, pinning, and how much of the machine strangers used."""

import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

_TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


def cpus() -> tuple[int, int]:
    """The CPU of the server under test, and the one of database and load generator; the same one when there is only one."""
    known = sorted(os.sched_getaffinity(0))
    return known[0], known[1 % len(known)]


def pinned(cpu: int, command: list[str]) -> list[str]:
    """The command with its affinity; children inherit it."""
    return ["taskset", "-c", str(cpu), *command]


def tree(root: int) -> list[int]:
    """The process and all its living descendants."""
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        try:
            tasks = list(Path(f"/proc/{pid}/task").iterdir())
        except OSError:
            continue
        found.append(pid)
        for task in tasks:
            try:
                queue += [int(child) for child in (task / "children").read_text().split()]
            except OSError:
                continue
    return found


def cpu_us(root: int) -> int:
    """CPU microseconds of the tree so far. A dead child's time is in its parent's children's time, so nothing vanishes."""
    total = 0
    for pid in tree(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(fields[n]) for n in (11, 12, 13, 14))
    return total * _TICK_US


def pss_kb(root: int) -> int:
    """Proportional memory of the tree in kB; shared pages are divided among those who share them."""
    total = 0
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


@dataclass(frozen=True)
class Busy:
    """A reading of /proc/stat: microseconds of work of all CPUs, and of all time."""

    work_us: int
    all_us: int


def busy() -> Busy:
    """How busy the whole machine has been since boot."""
    values = [int(v) for v in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    idle = values[3] + values[4]
    return Busy((sum(values) - idle) * _TICK_US, sum(values) * _TICK_US)


def strangers(before: Busy, after: Busy, ours_us: int) -> float:
    """The share of the machine that others used between two readings."""
    all_us = after.all_us - before.all_us
    return max(0.0, (after.work_us - before.work_us - ours_us) / all_us) if all_us else 0.0


def describe() -> dict[str, object]:
    """The machine and the versions, for the record."""
    info = Path("/proc/cpuinfo").read_text()
    model = next((line.split(":")[1].strip() for line in info.splitlines() if line.startswith("model name")), "unknown")
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "cpu": model,
        "cpus": os.cpu_count(),
        "memory_mb": int(memory) // 1024,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _git("rev-parse", "--short", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "load": os.getloadavg()[0],
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()
