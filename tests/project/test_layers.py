"""Modules import only lower layers, for types too; docs/DESIGN.md draws the layers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "gru4rec_fast"
LAYERS = (
    ("__main__",),
    ("cli",),
    ("tuning",),
    ("gru4rec", "nn"),
    ("recommender",),
    ("estimator",),
    ("baselines",),
    ("serving", "export"),
    ("distributed",),
    ("training", "evaluation"),
    ("engines",),
    ("kernels",),
    ("model",),
    ("reference",),
    ("plan",),
    ("spec",),
    ("data",),
    ("presets",),
    ("config",),
    ("parameter",),
    ("activation",),
    ("checks",),
    ("errors",),
    ("_core",),
)
"""Top-level modules and packages of gru4rec_fast, from the top down."""
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imports_of(source: str) -> set[str]:
    """Top-level modules of gru4rec_fast that a module's source imports, for types or to run."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "gru4rec_fast":
            names = [f"gru4rec_fast.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        found |= {name.split(".")[1] for name in names if name.startswith("gru4rec_fast.")}
    return found


def upward(module: str, source: str) -> list[str]:
    """Imports of a module, named by its top-level package, that do not lead to a lower layer."""
    return [
        name
        for name in sorted(imports_of(source))
        if name in LEVEL and name != module and LEVEL[name] <= LEVEL[module]
    ]


def modules() -> list[Path]:
    files = [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi"), *(ROOT / "kernels").rglob("*.py")]
    return sorted({path.resolve() for path in files} - {PACKAGE / "__init__.py"})


def owner(path: Path) -> str:
    """The top-level module or package of a file."""
    base = PACKAGE if path.is_relative_to(PACKAGE) else ROOT
    return path.relative_to(base).parts[0].partition(".")[0]


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_lower_layers_only(path: Path) -> None:
    assert upward(owner(path), path.read_text(encoding="utf-8")) == []


def test_every_module_has_its_layer() -> None:
    there = {owner(path) for path in modules()}
    assert there == set(LEVEL)


def test_an_upward_import_is_found() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {} import x\n"
    assert upward("plan", source.format("gru4rec_fast.training.loop")) == ["training"]
    assert upward("evaluation", source.format("gru4rec_fast.training.loop")) == ["training"]
    assert upward("plan", "def f():\n    import gru4rec_fast.cli.main") == ["cli"]
    assert upward("training", source.format("gru4rec_fast.plan.block")) == []
    assert upward("plan", "from gru4rec_fast import engines, errors") == ["engines"]


def test_triton_and_pybind11_are_met_in_their_rooms_alone() -> None:
    for path in modules():
        source = path.read_text(encoding="utf-8")
        if owner(path) != "kernels":
            assert "import triton" not in source, path
    for path in (ROOT / "csrc").rglob("*.[hc]*"):
        if "bindings" not in path.relative_to(ROOT).parts:
            assert "pybind11" not in path.read_text(encoding="utf-8"), path
