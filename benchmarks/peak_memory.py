"""Memory of a process of its own.

The peak that getrusage tells begins with that of the process which started this one, so it hides
what a small process takes. VmHWM of Linux is the process's own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def memory_now() -> int:
    """Bytes of this process in memory."""
    return _status("VmRSS")


def peak_memory() -> int:
    """The most bytes that this process has had in memory."""
    return _status("VmHWM")


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}: memory is measured on Linux alone")


def printed_by(program: str, *arguments: int) -> float:
    """The last number that a Python program of its own process prints."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])
