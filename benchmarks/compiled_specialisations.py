"""Compile recorded specialisations with the Triton of this process; see `specialisations`.

    python -m benchmarks.compiled_specialisations sm_90=RECORDED … --version 3.7.1

Each result is a line of results.jsonl beside RECORDED, under a key of the kernel's source, its
types and constants, the chip and the version, so nothing is compiled twice, by a later call
neither. What did not compile is tried again. Writes summary-VERSION.txt there.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import multiprocessing
import os
import pickle
import random
import signal
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import triton

from benchmarks.ahead_of_time import TARGETS, compile_kernel, source_of, usage_of
from benchmarks.specialisations import INTERRUPTED, Name, Specialisation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Work = dict[str, tuple[Specialisation, str]]
"""Key of the code -> what to compile, and the chip."""
PROGRESS_SECONDS = 15.0


@dataclass(frozen=True)
class Result:
    """What one specialisation became on a chip; `error` is empty if it compiled."""

    key: str
    kernel: str
    target: str
    error: str = ""
    registers: int = 0
    spilled: int = 0
    shared: int = 0
    seconds: float = 0.0

    @property
    def failure(self) -> str:
        """Why it could not be launched on the chip, if so."""
        limit = TARGETS[self.target].shared_limit
        above = f"needs {self.shared} bytes of shared memory of {limit}"
        return self.error or (above if self.shared > limit else "")


def _source(each: Specialisation) -> Any:
    constants = {
        name: value.function() if isinstance(value, Name) else value
        for name, value in each.constants.items()
    }
    return source_of(each.kernel.function(), each.signature, constants, each.divisible_by_16)


def work_of(found: Collection[Specialisation], target: str) -> Work:
    """All that is to be compiled for a chip, each code once."""
    work: Work = {}
    for each in found:
        code = _source(each).hash(), sorted(each.options.items())
        text = repr((triton.__version__, target, code))
        work[hashlib.sha256(text.encode()).hexdigest()[:24]] = each, target
    return work


def compile_one(key: str, each: Specialisation, target_name: str) -> Result:
    """Compile it, in an empty cache."""
    began, target = time.monotonic(), TARGETS[target_name]
    try:
        with (
            tempfile.TemporaryDirectory() as cache,
            patch.dict(os.environ, {"TRITON_CACHE_DIR": cache}),
        ):
            usage = usage_of(compile_kernel(_source(each), each.options, target), target)
    except Exception as error:
        text = f"{type(error).__name__}: {error}\n{each}"
        return Result(key, each.kernel.name, target_name, text)
    seconds = round(time.monotonic() - began, 3)
    return Result(key, each.kernel.name, target_name, **asdict(usage), seconds=seconds)


def compile_all(work: Work, jobs: int) -> Iterator[Result]:
    """The results as they come, also of what ends the process that compiles it."""
    left = dict(work)
    while left:
        with contextlib.suppress(BrokenProcessPool):
            for result in _by_pool(left, jobs):
                del left[result.key]
                yield result
        # What ended its process is among the first that are left: those that ran, and those that
        # were handed out ahead.
        for key in list(left)[: 2 * jobs + 1]:
            yield _alone(key, *left.pop(key))


def _alone(key: str, each: Specialisation, target: str) -> Result:
    """The result of what may end its process."""
    try:
        (result,) = _by_pool({key: (each, target)}, 1)
    except BrokenProcessPool:
        return Result(key, each.kernel.name, target, f"the compiler ended its process\n{each}")
    return result


def _by_pool(work: Mapping[str, tuple[Specialisation, str]], jobs: int) -> Iterator[Result]:
    # Spawned: a fork of a process whose threads torch has started can hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_leave_interrupts_to_the_parent)
    try:
        futures = [pool.submit(compile_one, key, *each) for key, each in work.items()]
        for future in as_completed(futures):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def known_results(path: Path) -> dict[str, Result]:
    """What earlier calls compiled; a line that an interruption cut short counts for nothing."""
    known = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            result = Result(**json.loads(line))
        except ValueError:
            continue
        if not result.error:
            known[result.key] = result
    return known


def finish(work: Work, path: Path, jobs: int) -> list[Result]:
    """The results of all work: those known, then the others, each written as soon as it is there.

    Prints failures and how far it is.
    """
    results = [each for key, each in known_results(path).items() if key in work]
    known = {each.key for each in results}
    left = [key for key in work if key not in known]
    random.Random(0).shuffle(left)  # so that what is left takes as long as what is done
    began = shown = time.monotonic()
    _say(f"{len(left)} to compile, {len(known)} known from earlier calls")
    with path.open("a") as file:
        for done, result in enumerate(compile_all({key: work[key] for key in left}, jobs), 1):
            file.write("\n" + json.dumps(asdict(result)))  # first ends a line that was cut short
            file.flush()
            results.append(result)
            if result.failure:
                _say(f"{result.kernel} for {result.target}: {result.failure}")
            now = time.monotonic()
            if now - shown > PROGRESS_SECONDS:
                shown, rest = now, (now - began) / done * (len(left) - done)
                failed = sum(bool(each.failure) for each in results)
                _say(f"{done} of {len(left)}, {failed} failed, {rest / 60:.0f} minutes left")
    return results


def _say(text: str) -> None:
    print(f"triton {triton.__version__}: {text}", flush=True)


def summary(results: Collection[Result], work: Work) -> str:
    """A line a chip. Of the kernels that spill it names the precision of products, if any."""
    lines = []
    for target in sorted({each.target for each in results}):
        own = [each for each in results if each.target == target]
        compiled = [each for each in own if not each.failure]
        spilled: dict[str, list[int]] = {}
        for each in compiled:
            if each.spilled:
                precision = work[each.key][0].constants.get("PRECISION", "")
                spilled.setdefault(f"{each.kernel} {precision}", []).append(each.spilled)
        spills = [f"{len(n)} {kernel} up to {max(n)} bytes" for kernel, n in spilled.items()]
        lines.append(
            f"triton {triton.__version__}, {target}: {len(compiled)} of {len(own)} compiled, "
            f"{len(own) - len(compiled)} failed, {sum(map(len, spilled.values()))} spill "
            f"({'; '.join(spills) or 'none'}), "
            f"{sum(each.seconds for each in compiled):.0f} s of compiling\n"
        )
    return "".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("recorded", nargs="+", help="CHIP=FILE of `specialisations.record`")
    parser.add_argument("--version", required=True, help="which Triton this must be")
    parser.add_argument("--kernels", nargs="+", default=[""])
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    if triton.__version__ != arguments.version:
        sys.exit(f"{triton.__file__} is triton {triton.__version__}, not {arguments.version}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    files = {chip: Path(file) for chip, file in (each.split("=", 1) for each in arguments.recorded)}
    folder = next(iter(files.values())).parent
    try:
        work: Work = {}
        for target, file in files.items():
            found = [
                each
                for each in pickle.loads(file.read_bytes())
                if any(part in each.kernel.name for part in arguments.kernels)
            ]
            if not found:
                sys.exit("no launch of such a kernel was recorded")
            work |= work_of(found, target)
        results = finish(work, folder / "results.jsonl", arguments.jobs)
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on")
        return INTERRUPTED
    (folder / f"summary-{triton.__version__}.txt").write_text(summary(results, work))
    return 1 if any(each.failure for each in results) else 0


if __name__ == "__main__":
    # By its own name: what is pickled here is of that module.
    from benchmarks import compiled_specialisations

    sys.exit(compiled_specialisations.main())
