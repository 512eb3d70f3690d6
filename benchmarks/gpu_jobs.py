"""The jobs of the GPU report, the most important first, each with its command and time limit.

`gpu_report` runs each in a process of its own. All limits together are at most 35 minutes.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TESTS = Path(__file__).resolve().parent.parent / "tests"
QUICK_TESTS = "five_steps or graph_replays or never_waits or shipped or later_work or masks_are"
SETTINGS = ("rsc15", "rees46", "yoochoose", "diginetica", "coveo", "retailrocket")
KERNELS = "regex:^(gru_|scores|lane_loss|row_gradients|row_update|cell_update)"
METRICS = (
    "gpu__time_duration.sum",
    "dram__bytes.sum",
    "lts__t_bytes.sum",
    "sm__throughput.avg.pct_of_peak_sustained_elapsed",
    "sm__warps_active.avg.pct_of_peak_sustained_active",
    "launch__waves_per_multiprocessor",
)


@dataclass(frozen=True)
class Job:
    """A process of the report. The word RESULT of its command is the path of its result."""

    name: str
    command: list[str]
    seconds: float
    """Limit; a job that takes longer is ended and recorded as failed."""
    needs: str | None = None
    """A program without which the job is left out."""
    environment: dict[str, str] = field(default_factory=dict)
    parse: Callable[[str], dict[str, Any]] | None = None
    """What it found, from its output, if it writes no result."""


def jobs(check: bool) -> list[Job]:
    """All jobs in order; with `check` tiny sizes on the CPU, a planted failure and a timeout."""
    flags = ["--check"] if check else []

    def measure(name: str, seconds: float, *words: str) -> Job:
        command = [sys.executable, "-m", "benchmarks.gpu_measure", *words, "RESULT", *flags]
        return Job(name, command, seconds)

    settings = SETTINGS[:1] if check else SETTINGS
    found = [
        measure("environment", 40, "environment"),
        _tests("quick tests", 120, check, ["-k", QUICK_TESTS]),
        *(measure(f"setting {name}", 80, "setting", name) for name in settings[:2]),
        *(measure(f"kernels {name}", 60, "kernels", name) for name in settings[:2]),
        _sanitizer("memcheck", 120, check),
        *(
            measure(f"loss V={n}", 80, "loss", str(n))
            for n in ((100,) if check else (10**5, 10**6))
        ),
        measure("ranks rees46", 60, "ranks", "rees46"),
        *(measure(f"reference {name}", 50, "reference", name) for name in settings[:2]),
        _counters(settings[-1] if check else "rees46", check),
        *(measure(f"setting {name}", 80, "setting", name) for name in settings[2:]),
        _tests("tests", 360, check, []),
        _sanitizer("racecheck", 60, check),
        *(measure(f"kernels {name}", 50, "kernels", name) for name in settings[2:]),
        *(measure(f"reference {name}", 40, "reference", name) for name in settings[2:]),
    ]
    if check:
        found += [
            measure("planted failure", 40, "setting", "no-such-setting"),
            Job(
                "planted timeout", [sys.executable, "-uc", "print('began')\nwhile True: pass"], 1.0
            ),
        ]
    return found


def _tests(name: str, seconds: float, check: bool, selection: list[str]) -> Job:
    """Tests of the kernels and of what only a GPU shows; their log stays whatever happens."""
    command = [
        sys.executable, "-um", "pytest", str(TESTS / "kernels"),
        str(TESTS / "training" / "test_pending_losses.py"), "-v", "--rootdir", str(TESTS.parent),
        "--import-mode=importlib", "-p", "no:cacheprovider", "--durations=10", *selection,
    ]  # fmt: skip
    if check:
        command.append("--collect-only")
    elif importlib.util.find_spec("xdist"):
        command += ["-n", str(min(12, os.cpu_count() or 1))]
    return Job(name, command, seconds, parse=tests_summary)


def tests_summary(output: str) -> dict[str, Any]:
    """The last line of pytest."""
    lines = [line.strip("= ") for line in output.splitlines() if line.strip()]
    return {"summary": lines[-1] if lines else "no output"}


def _sanitizer(tool: str, seconds: float, check: bool) -> Job:
    """Some tiny steps without a graph under compute-sanitizer."""
    command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "9"]
    command += [sys.executable, "-m", "benchmarks.gpu_measure", "steps", "tiny", "RESULT"]
    command += ["--check"] if check else []
    # Each tensor in an allocation of its own: a stray access leaves it.
    environment = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    return Job(tool, command, seconds, "compute-sanitizer", environment)


def _counters(setting: str, check: bool) -> Job:
    """Each kernel of some steps under Nsight Compute; clocks are left as they are."""
    command = ["ncu", "--csv", "--clock-control", "none", "--print-units", "base"]
    command += ["--kernel-name", KERNELS, "--metrics", ",".join(METRICS)]
    command += [sys.executable, "-m", "benchmarks.gpu_measure", "steps", setting, "RESULT"]
    command += ["--check"] if check else []
    return Job(f"counters {setting}", command, 120, "ncu", parse=counters)


def counters(output: str) -> dict[str, Any]:
    """Mean of each metric by kernel, from the CSV of Nsight Compute."""
    lines = output.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), None)
    if first is None:
        return {"failures": ["ncu wrote no table: see the log"]}
    values: dict[str, dict[str, list[float]]] = {}
    for row in csv.DictReader(line for line in lines[first:] if line.startswith('"')):
        kernel = row["Kernel Name"].split("(")[0].strip().removesuffix("_kernel")
        try:
            value = float(row["Metric Value"].replace(",", ""))
        except ValueError:
            continue
        values.setdefault(kernel, {}).setdefault(row["Metric Name"], []).append(value)
    return {
        "counters": {
            kernel: {name: sum(each) / len(each) for name, each in metrics.items()}
            for kernel, metrics in values.items()
        }
    }
