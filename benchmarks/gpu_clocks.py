"""The clocks, power and temperature of the GPU while a job runs, where nvidia-smi is installed."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import threading

FIELDS = {
    "sm_mhz": "clocks.sm",
    "memory_mhz": "clocks.mem",
    "watts": "power.draw",
    "celsius": "temperature.gpu",
}
COMMAND = [
    "nvidia-smi", f"--query-gpu={','.join(FIELDS.values())}", "--format=csv,noheader,nounits"
]  # fmt: skip


class Clocks:
    """Reads every second within its `with` block; nothing is set."""

    def __init__(self) -> None:
        self.summary: dict[str, list[float]] = {}
        """Field -> its least, median and largest value; empty without nvidia-smi."""
        self._lines: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Clocks:
        if shutil.which(COMMAND[0]):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self.summary = summary(self._lines)

    def _read(self) -> None:
        while True:
            try:
                done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=10)
            except (OSError, subprocess.TimeoutExpired):
                return
            self._lines += done.stdout.splitlines()[:1]  # the first of several GPUs
            if self._over.wait(1.0):
                return


def summary(lines: list[str]) -> dict[str, list[float]]:
    """Least, median and largest of each field; a value that is no number is left out."""
    columns: dict[str, list[float]] = {name: [] for name in FIELDS}
    for line in lines:
        for name, value in zip(FIELDS, line.split(","), strict=False):
            if value.strip().replace(".", "", 1).isdigit():  # not [N/A]
                columns[name].append(float(value))
    return {
        name: [min(values), statistics.median(values), max(values)]
        for name, values in columns.items()
        if values
    }
