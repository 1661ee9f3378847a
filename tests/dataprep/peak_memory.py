"""The peak of a process's memory, asked by the programs that tests start."""

from pathlib import Path


def peak_bytes() -> int:
    """The most that this process has held resident since its program began.

    Not `ru_maxrss`: a child inherits the peak of the process that started it, so that a test would
    measure the session that it runs in (2026-11-27: 1.5 GB at the start of a process of 0.3).
    """
    status = Path("/proc/self/status").read_text()
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024
