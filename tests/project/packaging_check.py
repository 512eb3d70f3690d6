"""Install the project as its users do, with the lowest and the newest versions that it allows.

    python -m tests.project.packaging_check [--torch VERSION]

Makes the source distribution and, from that alone and in isolation, the wheel, as `pip install`
does. Checks what both hold and their metadata. Then, once with the lowest and once with the newest
version of each dependency for this Python: a fresh environment, the wheel, and PROBE in an empty
folder. PyTorch is the version beside this program unless `--torch` names another, because a
registry may have others only with gigabytes of CUDA libraries.
"""

from __future__ import annotations

import argparse
import contextlib
import email
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
IN_SDIST = (
    "CHANGELOG.md",
    "CMakeLists.txt",
    "LICENSE",
    "PKG-INFO",
    "README.md",
    "csrc/engine.cmake",
    "csrc/isa/check_symbols.py",
    "csrc/isa/simd.h",
    "csrc/tests/CMakeLists.txt",
    "examples/onnx_serve.py",
    "examples/serve/app.py",
    "examples/serve/index.html",
    "gru4rec_fast/_core.pyi",
    "gru4rec_fast/py.typed",
    "kernels/losses/bpr_max.py",
    "pyproject.toml",
    "setup.py",
)
IN_WHEEL = (
    "gru4rec_fast/_core.pyi",
    "gru4rec_fast/export/onnx_file.py",
    "gru4rec_fast/kernels/losses/bpr_max.py",
    "gru4rec_fast/py.typed",
)
PROBE = Path(__file__).with_name("installed.py")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command; what it printed. Ends this program where the command fails."""
    # Nothing of this checkout may be found by the environment under test.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False,
        env=environment,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def require(names: list[str], expected: tuple[str, ...], what: str) -> None:
    """End this program unless a distribution holds what it has to, and no build of this machine."""
    missing = sorted(set(expected) - set(names))
    if missing:
        sys.exit(f"the {what} lacks {', '.join(missing)}: correct MANIFEST.in or setup.py")
    stray = [n for n in names if n.endswith((".pyc", ".orig")) or "/build/" in n]
    if what == "sdist":
        stray += [n for n in names if n.endswith((".so", ".pyd"))]
    if stray:
        sys.exit(f"the {what} holds {', '.join(stray)}: correct MANIFEST.in")


def distributions(folder: Path) -> tuple[Path, Path]:
    """The source distribution of this checkout, and the wheel that is built from it."""
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(folder)!r})"
    run(sys.executable, "-c", build, cwd=ROOT)
    (sdist,) = folder.glob("gru4rec_fast-*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    require(names, IN_SDIST, "sdist")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, sdist, cwd=folder)
    (wheel,) = folder.glob("gru4rec_fast-*.whl")
    require(zipfile.ZipFile(wheel).namelist(), IN_WHEEL, "wheel")
    run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel, cwd=folder)
    return sdist, wheel


def requirements(wheel: Path) -> list[Requirement]:
    """What the wheel needs without extras."""
    archive = zipfile.ZipFile(wheel)
    (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(archive.read(name))
    needed = map(Requirement, metadata.get_all("Requires-Dist", []))
    return [requirement for requirement in needed if requirement.marker is None]


def available(requirement: Requirement, folder: Path) -> list[Version]:
    """The allowed versions that there are for this Python as binaries, the lowest first."""
    pip = (sys.executable, "-m", "pip", "index", "versions", "--only-binary", ":all:")
    shown = run(*pip, requirement.name, cwd=folder)
    found = re.search(r"^Available versions: (.*)$", shown, re.MULTILINE)
    versions = sorted(map(Version, found[1].split(", "))) if found else []
    return [v for v in versions if v in requirement.specifier and not v.is_prerelease]


def check(wheel: Path, pins: list[str], folder: Path) -> list[str]:
    """Install the wheel with these versions into a fresh environment and use it."""
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python = programs / "python"
    run(python, "-m", "pip", "install", "--only-binary", ":all:", wheel, *pins, cwd=folder)
    run(python, "-m", "pip", "check", cwd=folder)
    work = folder / "work"
    work.mkdir()
    run(python, PROBE, cwd=work)
    command = programs / "gru4rec-fast"
    run(command, "--version", cwd=work)
    settings = ("--set", "layers=8", "n_sample=16", "n_epochs=1")
    run(command, "train", "log.tsv", "--save", "of-command", *settings, cwd=work)
    run(command, "recommend", "of-command", "item 1", "-k", "2", cwd=work)
    listed = run(python, "-m", "pip", "list", "--format", "freeze", cwd=work).split()
    return [line for line in listed if line.split("==")[0] in {pin.split("==")[0] for pin in pins}]


def main() -> None:
    """Check the distributions and both environments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--torch", default=version("torch"), help="of both environments")
    parser.add_argument("--keep", type=Path, help="an empty folder to work in and to keep")
    options = parser.parse_args()
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sdist, wheel = distributions(folder)
        print(f"{sdist.name} and {wheel.name}: complete", flush=True)
        versions = {
            requirement.name: available(requirement, folder)
            for requirement in requirements(wheel)
            if requirement.name != "torch"
        }
        for end, position in (("lowest", 0), ("newest", -1)):
            pins = [f"{name}=={listed[position]}" for name, listed in versions.items()]
            work = folder / end
            work.mkdir()
            used = check(wheel, [*pins, f"torch=={options.torch}"], work)
            print(f"{end} versions work: {', '.join(used)}", flush=True)
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
