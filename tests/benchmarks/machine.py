"""The machine that is measured on: what it is, which processes spent how much of it, and on which core they run."""

import os
import platform
import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
SERVER_CORE, LOAD_CORE = 0, 1


def describe() -> str:
    """One line: processor, cores, memory, system, Python."""
    cpu = next((line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "")
    kib = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    cores = os.cpu_count()
    return (
        f"{cpu or platform.machine()}, {cores} cores, {kib / 2**20:.0f} GiB, "
        f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def tree(pid: int) -> list[int]:
    """A process and all of its descendants."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    found = [int(child) for path in children for child in path.read_text().split()]
    return [pid, *(descendant for child in found for descendant in tree(child))]


def cpu_seconds(pids: Iterable[int], *, ended_too: bool = False) -> float:
    """What these processes and their descendants, alive now, have spent of a core so far, in user and kernel.

    With `ended_too` also what their children had spent that have ended and were waited for.
    """
    ticks = 0
    for pid in {member for root in pids for member in tree(root)}:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11 : 15 if ended_too else 13]))
    return ticks / TICKS


def stolen() -> tuple[int, int]:
    """Ticks of its cores that this machine wanted and its host gave to others, and all ticks so far (proc_stat(5))."""
    ticks = [int(field) for field in _lines("/proc/stat")[0].split()[1:9]]
    return ticks[7], sum(ticks)


def memory_kb(pid: int) -> int:
    """What a process keeps in memory."""
    return int(next(line.split()[1] for line in _lines(f"/proc/{pid}/status") if line.startswith("VmRSS")))


def pin(pid: int, core: int) -> None:
    """Keep a process, its threads and its descendants on one core. Without a second core nothing is pinned."""
    if len(os.sched_getaffinity(0) | {SERVER_CORE, LOAD_CORE}) > (os.cpu_count() or 1):
        return
    for member in tree(pid):
        for thread in Path(f"/proc/{member}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


@contextmanager
def every_core() -> Iterator[None]:
    """What this thread starts meanwhile may run on every core, though it keeps to one itself."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def raise_descriptors(wanted: int) -> int:
    """Let this process and those it starts open so many files, or as many as it may; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(soft, most)
