"""The wheel works elsewhere: compiled core, kernels, stubs and the typing marker are in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "CMakeLists.txt",
    "LICENSE",
    "MANIFEST.in",
    "README.md",
    "csrc",
    "gru4rec_fast",
    "kernels",
    "pyproject.toml",
    "setup.py",
)

PROBE = """
import importlib.util, pathlib, sys
import gru4rec_fast._core as core
import gru4rec_fast.kernels as kernels

home = pathlib.Path(sys.argv[1])
for module in (core, kernels):
    assert home in pathlib.Path(module.__file__).parents, module.__file__
assert core.philox4x32(0, (0, 0, 0, 0))[0] == 0x6627E8D5
print(importlib.util.find_spec("gru4rec_fast.plan.lanes").origin)
"""


def run(command: list[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_wheel_holds_everything_and_works_elsewhere(tmp_path: Path) -> None:
    # A copy of the sources, so that neither a build folder nor an in-place module can help.
    source = tmp_path / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)

    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheels = tmp_path / "wheels"
    run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(wheels), "."], source)
    (wheel,) = wheels.glob("gru4rec_fast-*.whl")

    names = zipfile.ZipFile(wheel).namelist()
    (core,) = (n for n in names if n.startswith("gru4rec_fast/_core.") and not n.endswith(".pyi"))
    assert core.endswith((".so", ".pyd"))
    assert {"gru4rec_fast/_core.pyi", "gru4rec_fast/py.typed"} <= set(names)
    for folder, package in (("gru4rec_fast", "gru4rec_fast"), ("kernels", "gru4rec_fast/kernels")):
        assert {f"{package}/{p.name}" for p in (ROOT / folder).glob("*.py")} <= set(names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gru4rec_fast"}

    home = tmp_path / "site"
    run([*pip, "install", "--no-deps", "--target", str(home), str(wheel)], tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    probe = f"import sys; sys.path.insert(0, {str(home)!r})\n{PROBE}"
    assert str(home) in run([sys.executable, "-c", probe, str(home)], elsewhere)
