"""One factor at a time, and losses by hidden units; writes docs/EXPERIMENTS.md and its figure.

    python -m benchmarks.experiment [--data FOLDER] [--minutes 40]

Two processes of one thread train and evaluate. Each result is a JSON line in RECORDS, written at
once; a run whose line is there is not repeated, so an experiment that was stopped goes on with the
same command. Runs that the time does not allow are left out, the least important ones. FOLDER holds
real sessions, as one file each named train, valid and test; the environment variable DATA may name
it, too. Delete RECORDS to measure everything anew, as after a change of the engines.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.experiment_data import BESIDE, GENERATED, Source, generated, real
from benchmarks.experiment_page import write_page
from benchmarks.experiment_plan import FACTORS, Records, Run, Study
from benchmarks.report import commit

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
PROCESSES = 2


def load_records(path: Path) -> Records:
    """The records of a file by the key of their run; a torn last line is removed from the file."""
    if not path.exists():
        return {}
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        path.write_bytes(whole)
    records = map(json.loads, whole.decode().splitlines())
    return {Run(**record["run"]).key: record for record in records}


class Experiment:
    """Gives the runs of a study to processes and keeps their records."""

    def __init__(self, study: Study, sources: Sequence[Source], path: Path) -> None:
        self._study, self._path = study, path
        self._sources = json.dumps([asdict(source) for source in sources])
        self.records = load_records(path)
        self.errors: dict[str, str] = {}
        self._in_flight: set[str] = set()
        self._changed = threading.Condition()
        self._stopped = False
        self._processes: list[subprocess.Popen[str]] = []
        self._measured = commit()

    def run(self, seconds: float) -> None:
        """Run until all is done or the time is over; what is unfinished then is dropped."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        threads = [threading.Thread(target=self._drive) for _ in range(PROCESSES)]
        deadline = time.monotonic() + seconds
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
        finally:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            for process in self._processes:
                process.kill()
            for thread in threads:
                thread.join()

    def _drive(self) -> None:
        """Feed one process."""
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        with subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks" / "experiment_worker.py")],
            env=os.environ | threads | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdin is not None
            assert process.stdout is not None
            with self._changed:
                self._processes.append(process)
            try:
                process.stdin.write(self._sources + "\n")
                while (run := self._next()) is not None:
                    process.stdin.write(json.dumps(asdict(run)) + "\n")
                    process.stdin.flush()
                    line = process.stdout.readline()
                    self._finish(run, json.loads(line) if line else {"error": "process ended"})
                    if not line:
                        return
                process.stdin.close()
            except BrokenPipeError:
                return

    def _next(self) -> Run | None:
        """The next run; waits where all that are left depend on one in flight."""
        with self._changed:
            while not self._stopped:
                for run in self._study.runs(self.records):
                    if not (
                        run.key in self.records
                        or run.key in self._in_flight
                        or run.key in self.errors
                    ):
                        self._in_flight.add(run.key)
                        return run
                if not self._in_flight:
                    return None
                self._changed.wait()
        return None

    def _finish(self, run: Run, answer: dict[str, Any]) -> None:
        with self._changed:
            self._in_flight.discard(run.key)
            if "error" in answer:
                if not self._stopped:
                    self.errors[run.key] = answer["error"]
                    print(f"{run.key} failed:\n{answer['error']}", file=sys.stderr)
            else:
                record = {"run": asdict(run), "commit": self._measured, **answer}
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
                    file.flush()
                    os.fsync(file.fileno())
                self.records[run.key] = record
                recall = "diverged" if answer["recall"] is None else f"{answer['recall']:.4f}"
                print(f"{answer['seconds']:7.1f} s  {recall}  {run.key}", flush=True)
            self._changed.notify_all()


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", metavar="FOLDER", default=os.environ.get("DATA"),
        help="of real sessions, 'none' for no real ones; by default $DATA, or else sessions that "
        "lie beside the checkout, where there are some",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--sessions", type=int, default=GENERATED[0], help="generated ones")
    parser.add_argument("--items", type=int, default=GENERATED[1], help="of the generated sessions")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--n-sample", type=int, default=512)
    parser.add_argument("--units", type=int, nargs="+", default=[50, 100, 200, 512])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--factors", nargs="*", choices=FACTORS, default=list(FACTORS))
    parser.add_argument(
        "--records", type=Path, default=ROOT / "build" / "experiment" / "records.jsonl"
    )
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "EXPERIMENTS.md")
    parser.add_argument(
        "--page-only", action="store_true", help="write the page from RECORDS, run nothing"
    )
    settings = parser.parse_args(argv)
    if min(settings.epochs, settings.seeds, *settings.units) < 1 or settings.minutes <= 0:
        parser.error("--epochs, --seeds, --units: expected 1 or more; --minutes: more than 0")
    return settings


def main(argv: list[str] | None = None) -> None:
    settings = arguments(argv)
    sources = [generated(settings.sessions, settings.items)]
    if settings.data and settings.data != "none":
        sources.append(real(Path(settings.data)))
    elif not settings.data and BESIDE.is_dir():
        sources.append(real(BESIDE))
    study = Study(
        data=tuple(source.name for source in sources),
        epochs=settings.epochs,
        n_sample=settings.n_sample,
        units=tuple(settings.units),
        seeds=settings.seeds,
        factors=tuple(settings.factors),
    )
    experiment = Experiment(study, sources, settings.records)
    if not settings.page_only:
        experiment.run(60 * settings.minutes)
    write_page(study, experiment.records, settings.page)
    print(f"written: {settings.page}; records: {settings.records}")
    if experiment.errors:
        sys.exit(f"{len(experiment.errors)} runs failed; see above")


if __name__ == "__main__":
    main()
