"""Compile every specialisation that the tests of the kernels launch, for three chips, with no GPU.

    python -m benchmarks.specialisations [--versions 3.6.0 3.7.1] [--targets sm_90 …] [--jobs 2]

For each chip the tests run once under Triton's interpreter, with the chip's tiles, while this
module, as a plugin of pytest, notes each launch: the kernel, the types of its arguments and its
compile-time constants. Then each version of Triton compiles what was noted, in processes without
the interpreter (`compiled_specialisations`). A version that is not the installed one is put into
build/triton-VERSION by pip, where it changes nothing else. Fails if one specialisation does not
compile, or needs more shared memory than the chip has. Only a GPU can show whether what was
compiled runs.

What is recorded and compiled is kept in build/specialisations: after an interruption, the same
command goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.6.0", "3.7.1")
TARGETS = ("sm_80", "sm_90", "gfx942")
FILE, CHIP = "GRU4REC_FAST_SPECIALISATIONS", "GRU4REC_FAST_CHIP"
"""Variables that name the file that the plugin writes, and the chip whose tiles kernels get."""
INTERRUPTED = 130
"""Exit status after Ctrl-C, as of a shell."""


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


def pytest_configure() -> None:
    """Note each launch of the interpreter; it must be chosen before Triton is imported."""
    os.environ["TRITON_INTERPRET"] = "1"
    from triton.runtime.interpreter import InterpretedFunction

    from gru4rec_fast.kernels import _tuning

    # Before others import it from there.
    _tuning.architecture_of = lambda device: os.environ[CHIP]  # noqa: ARG005

    run = InterpretedFunction.run

    def noted(kernel: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
        each = _specialisation(kernel, args, grid, kwargs)
        _found[each.key()] = each
        return run(kernel, *args, grid=grid, warmup=warmup, **kwargs)

    InterpretedFunction.run = noted


_found: dict[str, Specialisation] = {}


def pytest_sessionfinish(exitstatus: int) -> None:
    """Write what was noted; of tests that failed or were interrupted it would be a part."""
    if exitstatus == 0:
        path = Path(os.environ[FILE])
        aside = path.with_suffix(".partial")
        aside.write_bytes(pickle.dumps([_found[key] for key in sorted(_found)]))
        aside.replace(path)


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


def record(folder: Path, tests: Sequence[str], target: str) -> Path:
    """The file of what these tests launch on a chip; they run unless it is known from before.

    Raises:
        subprocess.CalledProcessError: a test failed.
    """
    path = folder / f"{_digest(tests)}-{target}.pickle"
    if path.exists():
        print(f"{target}: what the tests launch is known from an earlier call", flush=True)
        return path
    print(f"{target}: the tests run, to note what they launch", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "benchmarks.specialisations"]
    command += ["-p", "no:cacheprovider", *tests]
    # With a GPU the tests would launch there, by the interpreter.
    variables = {
        FILE: str(path),
        CHIP: target,
        "CUDA_VISIBLE_DEVICES": "",
        "HIP_VISIBLE_DEVICES": "",
    }
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **variables})
    return path


def _digest(tests: Sequence[str]) -> str:
    """Of all that decides what the tests launch on a chip."""
    roots = [ROOT / "gru4rec_fast", ROOT / "kernels", Path(__file__), *ROOT.glob("tests/*.py")]
    roots += [ROOT / "benchmarks" / "launches.py", *(ROOT / test.split("::")[0] for test in tests)]
    found = {path for root in roots for path in (root, *root.rglob("*.py"))}
    digest = hashlib.sha256(repr(tests).encode())
    for path in sorted(filter(Path.is_file, found)):
        digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def side_install(triton_version: str) -> list[str]:
    """Folders to put before the others on the path for a version, none if it is installed."""
    if triton_version == version("triton"):
        return []
    folder = ROOT / "build" / f"triton-{triton_version}"
    if not (folder / f"triton-{triton_version}.dist-info").exists():
        subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade",
             "--target", str(folder), f"triton=={triton_version}"],
            check=True,
        )  # fmt: skip
    return [str(folder)]


def compile_by(
    triton_version: str, recorded: dict[str, Path], arguments: argparse.Namespace
) -> int:
    """Exit status of `compiled_specialisations` in a process with this Triton."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    search = [*side_install(triton_version), str(ROOT), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, search))
    command = [sys.executable, "-m", "benchmarks.compiled_specialisations"]
    command += [f"{target}={path}" for target, path in recorded.items()]
    command += ["--version", triton_version, "--jobs", str(arguments.jobs)]
    command += ["--kernels", *arguments.kernels] if arguments.kernels else []
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:  # by Ctrl-C the process has it too; it ends after what it compiles
        process.send_signal(signal.SIGTERM)
        return process.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--versions", nargs="+", default=list(VERSIONS), help="of Triton")
    parser.add_argument("--targets", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--kernels", nargs="+", default=[], help="those with a part of their names")
    parser.add_argument("--tests", nargs="+", default=["tests/kernels"], help="as pytest has them")
    parser.add_argument("--jobs", type=int, default=2, help="processes that compile")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "specialisations")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    try:
        recorded = {each: record(folder, arguments.tests, each) for each in arguments.targets}
    except KeyboardInterrupt:
        print("Interrupted while the tests ran; nothing is kept of them.", file=sys.stderr)
        return INTERRUPTED
    except subprocess.CalledProcessError as error:
        sys.exit(f"The tests failed, so nothing is compiled: {error}")
    failed = []
    for each in arguments.versions:
        (folder / f"summary-{each}.txt").unlink(missing_ok=True)
        status = compile_by(each, recorded, arguments)
        if status == INTERRUPTED:
            return INTERRUPTED
        failed += [each] if status else []
    print()
    for each in arguments.versions:
        path = folder / f"summary-{each}.txt"
        print(path.read_text() if path.exists() else f"triton {each}: did not run\n", end="")
    print(f"{(time.monotonic() - began) / 60:.0f} minutes; ", end="")
    print(f"FAILED by triton {', '.join(failed)}" if failed else "all compiled")
    return 1 if failed else 0


if __name__ == "__main__":
    # By its own name: what is pickled here is of that module.
    sys.exit(importlib.import_module("benchmarks.specialisations").main())
