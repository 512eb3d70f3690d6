"""Run every job of the GPU report on the CPU and check what the report says of each.

    python -m benchmarks.gpu_check [--out FOLDER]

The sizes are tiny and the kernels run in Triton's interpreter. There is no git on the path. A job
fails and one exceeds its limit, as planted by `gpu_jobs`: both must be recorded, and no other may
fail. Programs that only a GPU's machine has are stand-ins that print what the real ones do. A
second call must go on where the first one ended, and a third must have nothing left to run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import gpu_report
from benchmarks.gpu_jobs import METRICS, jobs

ROOT = Path(__file__).resolve().parent.parent
PLANTED = {"planted failure": "failed", "planted timeout": "timed out"}
NVIDIA_SMI = "#!/bin/sh\necho '1980, 2619, 412.50, 51'\n"
SANITIZER = '#!/bin/sh\nwhile [ "$1" != -m ]; do program=$1; shift; done\nexec "$program" "$@"\n'
COUNTERS = (
    "#!/bin/sh\necho '==PROF== Connected'\ncat <<'END'\n"
    '"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"\n'
    + "".join(
        f'"{i}","scores_kernel","{metric}","ns","{value}"\n'
        for metric in METRICS
        for i, value in enumerate(("1,000", "3,000"))
    )
    + "END\n"
)


def stand_ins(folder: Path) -> None:
    """Programs in place of those of a GPU's machine; git is not among what else is on the path."""
    for name, text in {
        "nvidia-smi": NVIDIA_SMI, "compute-sanitizer": SANITIZER, "ncu": COUNTERS
    }.items():  # fmt: skip
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    for name in ("sh", "cat", "cc", "c++", "uname"):  # what the stand-ins and a compiler need
        for place in ("/bin", "/usr/bin"):
            if Path(place, name).exists() and not (folder / name).exists():
                (folder / name).symlink_to(Path(place, name))


def report(out: Path, path: str, *arguments: str) -> tuple[int, str]:
    """Exit status and output of a call of the report."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GRU4REC_FAST_")}
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "gpu_report.py"), "--check", "--out", str(out),
         *arguments],
        env={**environment, "PATH": path, "OMP_NUM_THREADS": "1"}, text=True, capture_output=True,
    )  # fmt: skip
    print(done.stdout, done.stderr, sep="\n")
    return done.returncode, done.stdout


def check(what: str, holds: bool) -> None:
    """Raise AssertionError, also under python -O."""
    if not holds:
        raise AssertionError(f"the report of the check is wrong: {what}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    default = ROOT / "build" / "gpu-report-check"
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or default))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name in ("json", "md", "log", "png"):
        (out / f"gpu_report.{name}").unlink(missing_ok=True)
    work = [job.name for job in jobs(True)]
    check("35 minutes for all", sum(job.seconds for job in jobs(False)) <= 35 * 60)
    check("8 minutes for one", max(job.seconds for job in jobs(False)) <= 470 * 0.9)
    gpu_report.build(gpu_report.sources_digest(), out / "gpu_report.log")
    with tempfile.TemporaryDirectory() as folder:
        stand_ins(Path(folder))
        # Two stages: the first runs one job besides the device's facts.
        status, _ = report(out, folder, "--only", work[1])
        check("a stage that did all it was asked for", status == 0)
        status, printed = report(out, folder)
        check("its exit status says that jobs failed", status == 1)
        check("it goes on behind the stage before", f"{work[1]}: done" not in printed)
        again, printed = report(out, folder, "--seconds", "0")
        check("nothing is left to run", again == 1 and "run the same command" not in printed)
        (out / "gpu_report_open.json").write_text('{"jobs": {}}')
        status, printed = report(
            out, folder, "--seconds", "0", "--resume", str(out / "gpu_report_open.json"),
            "--out", f"{folder}/open",
        )  # fmt: skip
        check("its exit status says that jobs are left", status == 3)
    results: dict[str, Any] = json.loads((out / "gpu_report.json").read_text())
    check("all jobs are there", {*results["jobs"]} == {*work})
    for name, entry in results["jobs"].items():
        expected = PLANTED.get(name, "done")
        check(f"{name} is {expected}", entry["status"] == expected)
        check(f"{name} has clocks", entry["clocks"]["sm_mhz"] == [1980.0] * 3)
    check("a failure is recorded", "no-such-setting" in results["jobs"]["planted failure"]["error"])
    check("a timeout keeps its log", "began" in results["jobs"]["planted timeout"]["error"])
    check("no commit without git", results["commit"] == "unknown")
    counters = results["jobs"]["counters rsc15"]["result"]["counters"]
    check("counters are means", counters["scores"][METRICS[0]] == 2000.0)
    text = (out / "gpu_report.md").read_text()
    for part in (
        "| rsc15 |",
        "| kernels sparse |",
        "| rank_counts |",
        "| row_gradients |",
        "same |",
    ):
        check(f"the document has {part!r}", part in text)
    log = (out / "gpu_report.log").read_text()
    check("the log has the tests", "test_ranks.py" in log)
    print(f"all {len(work)} jobs are reported as they should be")


if __name__ == "__main__":
    main()
