"""The rule of csrc/isa/README.md: no kernel's weak symbol may replace another instruction set's."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gru4rec_fast import _core

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
BUILDS = sorted((ROOT / "build").glob(f"cmake-{sys.implementation.cache_tag}-*-Release"))
NM, COMPILER = shutil.which("nm"), shutil.which("c++")

violations: Callable[[str, str, list[str]], list[str]] = runpy.run_path(
    str(ROOT / "csrc" / "isa" / "check_symbols.py")
)["violations"]

pytestmark = pytest.mark.skipif(
    NM is None or sys.platform != "linux", reason="reads the symbols of ELF objects by nm"
)


def further_instruction_sets() -> list[str]:
    """Those of some kernels only, whichever instruction set they go with."""
    before = _core.instruction_set()
    names = _core.bf16_instruction_sets()
    for name in _core.instruction_sets():
        _core.use_instruction_set(name)
        names += _core.bound_instruction_sets()
    _core.use_instruction_set(before)
    return names


def sources_of(name: str) -> list[Path]:
    """The sources that are compiled for an instruction set."""
    folder = ROOT / "csrc" / "isa"
    some = {"avx512bf16": ["bf16"], "amx": ["bounds", "bf16"], "emulated_amx": ["bounds", "bf16"]}
    if name not in _core.instruction_sets():
        return [
            path for part in some.get(name, ["bounds"]) for path in folder.rglob(f"{part}/*.cpp")
        ]
    return [path for path in folder.rglob("*.cpp") if path.parent.name != "bf16"]


def kernel_objects(name: str) -> list[str]:
    """The objects of an instruction set; those of sources that are gone may lie there too."""
    return [
        str(path)
        for build in BUILDS
        for path in (build / "CMakeFiles" / f"kernels_{name}.dir").rglob("*.o")
        if (ROOT / path.relative_to(build / "CMakeFiles" / f"kernels_{name}.dir").with_suffix(""))
        .resolve()
        .is_file()
    ]


@pytest.mark.skipif(not BUILDS, reason="the module was not built in this tree")
@pytest.mark.parametrize("name", sorted({*_core.instruction_sets(), *further_instruction_sets()}))
def test_the_kernels_keep_the_rule(name: str) -> None:
    objects = kernel_objects(name)
    assert len(objects) == len(sources_of(name)) * len(BUILDS)
    assert violations(str(NM), name, objects) == []


def compiled(folder: Path, body: str) -> str:
    source = folder / "planted.cpp"
    source.write_text(f"#include <vector>\nnamespace gru4rec_fast::avx512 {{\n{body}\n}}\n")
    command = [str(COMPILER), "-std=c++17", "-O3", "-c", str(source), "-o"]
    subprocess.run([*command, str(source.with_suffix(".o"))], check=True, cwd=folder)
    return str(source.with_suffix(".o"))


@pytest.mark.skipif(COMPILER is None, reason="compiles a file")
def test_a_planted_violation_is_found(tmp_path: Path) -> None:
    # Two calls, as the compiler inlines a single one.
    own = "struct I { int i; };\nvoid f(std::vector<I>& v) { v.push_back({1}); v.push_back({2}); }"
    assert violations(str(NM), "avx512", [compiled(tmp_path, own)]) == []
    shared = "void f(std::vector<int>& v) { v.push_back(1); v.push_back(2); }"
    found = violations(str(NM), "avx512", [compiled(tmp_path, shared)])
    assert len(found) == 1
    assert "_M_realloc_insert" in found[0]
    # A name that only begins with the set's does not count, nor does that of another set.
    assert violations(str(NM), "avx5", [compiled(tmp_path, own)])
    assert violations(str(NM), "avx2", [compiled(tmp_path, own)])
