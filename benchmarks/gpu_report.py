"""Everything that only a GPU can show, by one command: build, test, measure, draw, print.

    make gpu-report [OUT=folder]        a stage of at most 8 minutes; run it again until all is done
    make gpu-report-check               every step of it on the CPU, with a planted failure

Needs a Python with CUDA (or ROCm) torch, triton, pybind11, cmake, ninja and pytest, and no network.
The package is built into build/gpu-report, nothing is installed. Writes gpu_report.json,
gpu_report.md, gpu_report.log and, with matplotlib, gpu_report.png to the folder in OUT, by default
benchmarks/results.

Each job (`gpu_jobs`) is a process of its own with a time limit, the most important first. What a
job found is written before the next one starts, and a failure or a timeout is recorded with the end
of its log. A later call goes on with the jobs that are not done, if the sources are the same. The
exit status is 0 when all jobs are done, 1 if any failed, and 3 if the time was up before all ran.
The commit is that of git, or of the variable GRU4REC_FAST_COMMIT where there is no git.
"""

from __future__ import annotations

import argparse
import hashlib
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
sys.path.insert(0, str(ROOT))

from benchmarks import gpu_document  # noqa: E402
from benchmarks.gpu_clocks import Clocks  # noqa: E402
from benchmarks.gpu_jobs import Job, jobs  # noqa: E402

SITE = ROOT / "build" / "gpu-report"
STAGE_SECONDS = 470.0
LEAST_SHARE = 0.4
"""A job is started only if at least this much of its limit is left of the stage."""
SOURCES = ("benchmarks", "csrc", "gru4rec_fast", "kernels", "tests/kernels")


def sources_digest() -> str:
    """Of all source files: results of other sources are not gone on with."""
    digest = hashlib.sha256()
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".h", ".cpp", ".cmake") and path.is_file():
                digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def commit() -> str:
    """Of the variable GRU4REC_FAST_COMMIT, or of git where there is one."""
    named = os.environ.get("GRU4REC_FAST_COMMIT")
    if named:
        return named
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def build(digest: str, log: Path) -> None:
    """Compile the C++ module and lay the package out in SITE, unless it is that of these sources.

    Raises:
        subprocess.CalledProcessError: the compiler failed; the log says why.
    """
    stamp = SITE / "sources"
    if stamp.exists() and stamp.read_text() == digest:
        return
    shutil.rmtree(SITE, ignore_errors=True)
    SITE.mkdir(parents=True)
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
        "--no-build-isolation", "--no-compile", "--target", str(SITE), str(ROOT),
    ]  # fmt: skip
    with log.open("a") as output:
        subprocess.run(command, check=True, cwd=SITE, stdout=output, stderr=output)
    stamp.write_text(digest)


def run(job: Job, out: Path, seconds: float) -> dict[str, Any]:
    """Run a job for at most that long; what became of it, for the report."""
    program = job.command[0]
    if job.needs and shutil.which(job.needs) is None:
        return {"status": "absent", "error": f"{job.needs} is not installed"}
    result, log = out / "gpu_job.json", out / "gpu_report.log"
    result.unlink(missing_ok=True)
    # The built package before the sources; run from a folder that holds neither.
    environment = {
        **os.environ, **job.environment, "PYTHONPATH": os.pathsep.join([str(SITE), str(ROOT)])
    }  # fmt: skip
    command = [word.replace("RESULT", str(result)) for word in job.command]
    with log.open("a") as output:
        output.write(f"\n===== {job.name}: {' '.join(command)}\n")
        output.flush()
        begin, start = output.tell(), time.monotonic()
        with Clocks() as clocks:
            status = _wait(command, environment, output, seconds)
    text = log.read_bytes()[begin:].decode(errors="replace")
    entry: dict[str, Any] = {
        "status": status, "seconds": round(time.monotonic() - start, 1), "program": program
    }  # fmt: skip
    if clocks.summary:
        entry["clocks"] = clocks.summary
    if result.exists():
        entry["result"] = json.loads(result.read_text())
        result.unlink()
    if job.parse is not None and status == "done":
        entry["result"] = job.parse(text)
    if status == "timed out" and seconds < job.seconds:
        entry["status"] = "cut"  # by the end of the stage: it gets another turn
    if status != "done":
        entry["error"] = text[-2500:]
    elif entry.get("result", {}).get("failures"):
        entry["status"], entry["error"] = "failed", "; ".join(entry["result"]["failures"])
    return entry


def _wait(command: list[str], environment: dict[str, str], output: Any, seconds: float) -> str:
    """'done', 'failed' or 'timed out'; the process and its children are gone afterwards."""
    try:
        process = subprocess.Popen(
            command, env=environment, cwd=SITE, stdout=output, stderr=output, start_new_session=True
        )
    except OSError as error:
        output.write(f"{error}\n")
        return "failed"
    try:
        return "done" if process.wait(timeout=seconds) == 0 else "failed"
    except subprocess.TimeoutExpired:
        return "timed out"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()


def earlier(path: Path, digest: str, device: str, again: bool) -> dict[str, Any]:
    """The jobs that an earlier call on the same sources and kind of device has finished.

    With `again` only those that are done: the failed ones run once more.
    """
    if not path.exists():
        return {}
    results = json.loads(path.read_text())
    if results.get("sources") != digest or results.get("device") != device:
        return {}
    finished = ("done",) if again else ("done", "failed", "timed out")
    return {name: entry for name, entry in results["jobs"].items() if entry["status"] in finished}


def write(results: dict[str, Any], out: Path) -> None:
    """All files of the report, so that a call that is killed leaves what was done."""
    part = out / "gpu_report.json.part"
    part.write_text(json.dumps(results, indent=1))
    part.replace(out / "gpu_report.json")
    (out / "gpu_report.md").write_text(gpu_document.document(results))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    default = os.environ.get("OUT") or str(ROOT / "benchmarks" / "results")
    parser.add_argument("--out", type=Path, default=Path(default), help="folder of the report")
    parser.add_argument("--seconds", type=float, default=STAGE_SECONDS, help="of this stage")
    parser.add_argument("--resume", type=Path, help="an earlier gpu_report.json; default: of --out")
    parser.add_argument("--only", nargs="+", help="jobs to run, by the beginnings of their names")
    parser.add_argument("--again", action="store_true", help="run failed jobs once more")
    parser.add_argument("--list", action="store_true", help="print the jobs and their limits")
    parser.add_argument("--check", action="store_true", help="tiny sizes on the CPU")
    arguments = parser.parse_args()
    work = [
        job
        for job in jobs(arguments.check)
        if not arguments.only or job.name.startswith(tuple(arguments.only))
    ]
    if arguments.list:
        print("\n".join(f"{job.seconds:5.0f} s  {job.name}" for job in work))
        return 0
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + arguments.seconds
    digest = sources_digest()
    build(digest, out / "gpu_report.log")
    facts = run(jobs(arguments.check)[0], out, 120)
    if facts["status"] != "done":
        print(facts["error"], "the device cannot be used: nothing was measured", sep="\n")
        return 1
    results: dict[str, Any] = {
        "command": "make gpu-report-check" if arguments.check else "make gpu-report",
        "commit": commit(),
        "sources": digest,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        **facts.get("result", {}),
    }
    before = arguments.resume or out / "gpu_report.json"
    results["jobs"] = earlier(before, digest, results.get("device", ""), arguments.again)
    results["jobs"][jobs(arguments.check)[0].name] = facts
    for job in work:
        left = deadline - time.monotonic()
        if job.name in results["jobs"]:
            continue
        if left < LEAST_SHARE * job.seconds:
            break
        results["jobs"][job.name] = entry = run(job, out, min(job.seconds, left))
        write(results, out)
        print(f"{job.name}: {entry['status']} in {entry.get('seconds', 0)} s", flush=True)
    write(results, out)
    if importlib.util.find_spec("matplotlib"):
        gpu_document.draw(results, out / "gpu_report.png")
    print(gpu_document.document(results))
    status = [results["jobs"].get(job.name, {}).get("status", "open") for job in work]
    print(f"{status.count('done')} of {len(work)} jobs are done; the report is in {out}")
    if {"open", "cut"} & {*status}:
        print("run the same command again: it goes on with the others")
        return 3
    return 1 if {"failed", "timed out"} & {*status} else 0


if __name__ == "__main__":
    sys.exit(main())
