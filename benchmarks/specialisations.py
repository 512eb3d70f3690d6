"""Compile every specialisation that the tests of the kernels launch, for three chips, with no GPU.

    python -m benchmarks.specialisations [--versions 3.6.0 3.7.1] [--targets sm_90 …] [--jobs 2]

The tests run once under Triton's interpreter while this module, as a plugin of pytest, notes each
launch: the kernel, the types of its arguments and its compile-time constants. Then each version of
Triton compiles what was noted, in processes without the interpreter. A version that is not the
installed one is put into build/triton-VERSION by pip, where it changes nothing else. Fails if one
specialisation does not compile. Only a GPU can show whether what was compiled runs.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.6.0", "3.7.1")
TARGETS = ("sm_80", "sm_90", "gfx942")
FILE = "GRU4REC_FAST_SPECIALISATIONS"
"""Variable that names the file that the plugin writes."""


@dataclass(frozen=True)
class Name:
    """A jit function, which another process looks up."""

    module: str
    name: str

    def function(self) -> Any:
        """The function in this process."""
        return getattr(importlib.import_module(self.module), self.name)


@dataclass(frozen=True)
class Specialisation:
    """What `triton.compile` needs, in terms that can be pickled."""

    kernel: Name
    signature: dict[str, Any]
    constants: dict[str, Any]
    divisible_by_16: tuple[tuple[int, ...], ...]
    options: dict[str, int]

    def key(self) -> str:
        """Equal for equal code."""
        return repr(self)


def pytest_configure(config: pytest.Config) -> None:
    """Note each launch of the interpreter; it must be chosen before Triton is imported."""
    os.environ["TRITON_INTERPRET"] = "1"
    from triton.runtime.interpreter import InterpretedFunction

    found: dict[str, Specialisation] = {}
    run = InterpretedFunction.run

    def noted(kernel: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        each = _specialisation(kernel, args, grid, kwargs)
        found[each.key()] = each
        return run(kernel, *args, grid=grid, warmup=warmup, **kwargs)

    InterpretedFunction.run = noted
    config.add_cleanup(lambda: _write(found))


def _write(found: dict[str, Specialisation]) -> None:
    Path(os.environ[FILE]).write_bytes(pickle.dumps([found[key] for key in sorted(found)]))


def _specialisation(kernel: Any, args: Any, grid: Any, kwargs: Any) -> Specialisation:
    from benchmarks.launches import launch_of

    launch = launch_of(kernel, args, grid, kwargs)
    signature, constants = dict(launch.signature), dict(launch.constants)
    for name, value in launch.arguments.items():
        if isinstance(value, int) and value == 1 and signature[name] != "constexpr":
            signature[name], constants[name] = "constexpr", 1  # as a launch does
    for name, value in constants.items():
        if hasattr(value, "fn"):
            constants[name] = Name(value.fn.__module__, value.fn.__name__)
    of = Name(kernel.fn.__module__, kernel.fn.__name__)
    return Specialisation(of, signature, constants, launch.divisible_by_16, launch.options)


def compile_one(each: Specialisation, target_name: str) -> str:
    """Empty, or why it does not compile."""
    from benchmarks.kernel_table import TARGETS as CHIPS
    from benchmarks.kernel_table import compile_kernel

    constants = {
        name: value.function() if isinstance(value, Name) else value
        for name, value in each.constants.items()
    }
    try:
        compile_kernel(
            each.kernel.function(), each.signature, constants, each.divisible_by_16, each.options,
            CHIPS[target_name],
        )  # fmt: skip
    except Exception as error:
        return f"{each.kernel.name} for {target_name}: {type(error).__name__}: {error}\n{each}"
    return ""


def compile_all(found: list[Specialisation], targets: list[str], jobs: int) -> int:
    """Compile with the Triton of this process; returns how many failed."""
    work = [(each, target) for target in targets for each in found]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        failures = [text for text in pool.map(compile_one, *zip(*work, strict=True)) if text]
    for text in failures:
        print(text, file=sys.stderr)
    print(
        f"triton {version('triton')}: {len(work) - len(failures)} of {len(work)} compiled, "
        f"{len(found)} specialisations for {', '.join(targets)}",
        flush=True,
    )
    return len(failures)


def record(path: Path, selection: str) -> None:
    """Run the tests of the kernels and write what they launch.

    Raises:
        subprocess.CalledProcessError: a test failed.
    """
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "benchmarks.specialisations"]
    command += ["-p", "no:cacheprovider", "tests/kernels", "-k", selection]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, FILE: str(path)})


def side_install(triton_version: str) -> Iterator[str]:
    """Folders to put before the others on the path for a version, none if it is installed."""
    if triton_version == version("triton"):
        return
    folder = ROOT / "build" / f"triton-{triton_version}"
    if not (folder / f"triton-{triton_version}.dist-info").exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade",
             "--target", str(folder), f"triton=={triton_version}"],
            check=True,
        )  # fmt: skip
    yield str(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--versions", nargs="+", default=list(VERSIONS), help="of Triton")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--jobs", type=int, default=2, help="processes that compile")
    parser.add_argument("--select", default="", help="tests, an expression as of pytest -k")
    parser.add_argument("--compile", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.compile:
        found = pickle.loads(arguments.compile.read_bytes())
        return 1 if compile_all(found, arguments.targets, arguments.jobs) else 0
    path = ROOT / "build" / "specialisations.pickle"
    path.parent.mkdir(exist_ok=True)
    record(path, arguments.select)
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    failed = False
    for each in arguments.versions:
        search = [*side_install(each), str(ROOT), environment.get("PYTHONPATH", "")]
        command = [sys.executable, "-m", "benchmarks.specialisations", "--compile", str(path)]
        command += ["--jobs", str(arguments.jobs), "--targets", *arguments.targets]
        paths = os.pathsep.join(filter(None, search))
        done = subprocess.run(command, cwd=ROOT, env={**environment, "PYTHONPATH": paths})
        failed = failed or done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    # By its own name: what is pickled here is of that module.
    sys.exit(importlib.import_module("benchmarks.specialisations").main())
