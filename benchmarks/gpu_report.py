"""Everything that only a GPU can show, by one command: build, test, measure, draw, print.

    make gpu-report [OUT=folder]                 at most 8 minutes; needs no network
    make gpu-report-check                        every step except the GPU work

Needs a Python with CUDA (or ROCm) torch, triton, pybind11, cmake, ninja and pytest. The package is
built into build/gpu-report, nothing is installed. Writes gpu_report.json, gpu_report.md and, with
matplotlib, gpu_report.png to the folder in OUT, by default benchmarks/results.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "gpu-report"
TESTS_SHARE = 0.45
"""Of the time, at most this much goes to the tests, most of it into compiling small shapes."""
QUICK_TESTS = "five_steps or graph_replays or never_waits or more_lanes or masks_are"
"""What is run where pytest-xdist is missing, as one process could not compile it all in time."""


def build() -> None:
    """Compile the C++ module and lay the package out in SITE."""
    shutil.rmtree(SITE, ignore_errors=True)
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
        "--no-build-isolation", "--no-compile", "--target", str(SITE), str(ROOT),
    )  # fmt: skip


def tests(check: bool, seconds: float) -> str:
    """Run the tests of the kernels on the GPU; with `check` only collect them."""
    command = [
        sys.executable, "-m", "pytest", str(ROOT / "tests" / "kernels"), "-q", "--rootdir",
        str(ROOT), "--import-mode=importlib", "-p", "no:cacheprovider",
    ]  # fmt: skip
    if check:
        command.append("--collect-only")
    elif importlib.util.find_spec("xdist"):
        command += ["-n", str(min(12, os.cpu_count() or 1))]
    else:
        command += ["-k", QUICK_TESTS]
    try:
        done = run(*command, check=False, timeout=seconds, capture_output=True)
    except subprocess.TimeoutExpired:
        return f"not finished in {seconds:.0f} s"
    lines = done.stdout.strip().splitlines()
    if done.returncode:
        print("\n".join(lines[-40:]), done.stderr[-2000:], sep="\n")
    return (lines[-1] if lines else "no output") + ("" if done.returncode == 0 else " - FAILED")


def measure(out: Path, check: bool, seconds: float) -> dict[str, Any]:
    """Measure in a process that has the built package; what was done by the deadline counts."""
    path = out / "gpu_report.json"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.gpu_measure", str(path)]
    command += ["--seconds", f"{seconds:.0f}"] + ["--check"] * check
    try:
        run(*command, timeout=seconds + 60)
    except subprocess.TimeoutExpired:
        print("measuring was cut off; the report holds what was done")
    results: dict[str, Any] = json.loads(path.read_text())
    return results


def run(*command: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run with the built package before the sources, from a folder that holds neither."""
    path = os.pathsep.join([str(SITE), str(ROOT)])
    SITE.mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        command, check=check, text=True, cwd=SITE, env={**os.environ, "PYTHONPATH": path}, **options
    )


def commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


def document(results: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        "# GPU report",
        "",
        f"{results['command']} at commit {results['commit']} on {results['device']}, "
        f"{results['machine']}; torch {results['torch']}, triton {results['triton']}, Python "
        f"{results['python']}; products in {results['precision']}. Tests of the kernels: "
        f"{results['tests']}.",
        "",
        "Mini-batches/s of generated sessions: `engine` a whole epoch, planning included; `eager` "
        "and `graph` the reference in plain PyTorch and one fixed step of it in a CUDA graph. "
        "`step` is the engine's time on the device, `floor` that of benchmarks/roofline.py.",
        "",
        "| setting | engine | eager | graph | engine/eager | step, µs | floor, µs | step/floor |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, r in results["settings"].items():
        graph = 1 / r["graph_seconds"] if r.get("graph_seconds") else None
        step, floor = r.get("device_seconds"), r.get("floor_seconds")
        ratio = r["engine"] / r["eager"] if r.get("eager") and r.get("engine") else None
        cells = [
            number(r.get("engine"), 0), number(r.get("eager"), 0), number(graph, 0),
            number(ratio, 1), number(step and step * 1e6, 1), number(floor and floor * 1e6, 1),
            number(step / floor if step and floor else None, 1),
        ]  # fmt: skip
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    kernels = sorted({k for r in results["settings"].values() for k in r.get("kernels", {})})
    if kernels:
        lines += ["", "Each kernel alone, its data in the cache, µs (floor):", ""]
        lines += ["| kernel | " + " | ".join(results["settings"]) + " |"]
        lines += ["|---|" + "---:|" * len(results["settings"])]
        for kernel in kernels:
            cells = []
            for r in results["settings"].values():
                seconds = r.get("kernels", {}).get(kernel)
                floor = r.get("kernel_floors", {}).get(kernel)
                cell = number(seconds and seconds * 1e6, 1)
                cells.append(cell + (f" ({floor * 1e6:.1f})" if seconds and floor else ""))
            lines.append(f"| {kernel} | " + " | ".join(cells) + " |")
    notes = [
        f"- {name}, {way}: {note}"
        for name, r in results["settings"].items()
        for way, note in r["notes"].items()
    ]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def draw(results: dict[str, Any], path: Path) -> None:
    """Mini-batches/s of every setting as bars."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = [name for name, r in results["settings"].items() if r.get("engine")]
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    for i, way in enumerate(("engine", "graph", "eager")):
        values = [_rate(results["settings"][name], way) for name in names]
        axes.bar([x + 0.27 * (i - 1) for x in range(len(names))], values, 0.25, label=way)
    axes.set_xticks(range(len(names)), names)
    axes.set_yscale("log")
    axes.set_ylabel("mini-batches/s")
    axes.set_title(f"{results['device']}, {results['precision']}, commit {results['commit']}")
    axes.legend()
    figure.savefig(path, dpi=120)


def _rate(result: dict[str, Any], way: str) -> float:
    if way == "graph":
        return 1 / result["graph_seconds"] if result.get("graph_seconds") else 0.0
    return float(result.get(way) or 0.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    default = os.environ.get("OUT") or str(ROOT / "benchmarks" / "results")
    parser.add_argument("--out", type=Path, default=Path(default), help="folder of the report")
    parser.add_argument("--seconds", type=float, default=470.0, help="of the whole report")
    parser.add_argument("--check", action="store_true", help="every step except the GPU work")
    arguments = parser.parse_args()
    start, out = time.monotonic(), arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    build()
    print(f"built in {time.monotonic() - start:.0f} s", flush=True)
    tested = tests(arguments.check, TESTS_SHARE * arguments.seconds)
    print(f"tests: {tested}", flush=True)
    left = arguments.seconds - (time.monotonic() - start) - 60
    results = measure(out, arguments.check, max(30.0, left))
    results |= {
        "command": "make gpu-report-check" if arguments.check else "make gpu-report",
        "commit": commit(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "tests": tested,
    }
    (out / "gpu_report.json").write_text(json.dumps(results, indent=1))
    text = document(results)
    (out / "gpu_report.md").write_text(text)
    if importlib.util.find_spec("matplotlib"):
        draw(results, out / "gpu_report.png")
    else:
        print("matplotlib is missing: no gpu_report.png")
    print(text)
    print(f"wrote {out} after {time.monotonic() - start:.0f} s")
    return 1 if "FAILED" in tested else 0


if __name__ == "__main__":
    sys.exit(main())
