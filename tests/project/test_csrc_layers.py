"""The layers of csrc: a file includes only its own layer and those below, as LAYERS says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "csrc"

LAYERS: dict[str, tuple[str, ...]] = {
    # Folder, or file without suffix, by the longest match -> what it may include beside itself.
    "data": (),
    "engine": (),
    "engine/parts": (),
    "engine/bf16_kernels": (),
    "engine/network": ("engine/bf16_kernels", "engine/parts"),
    "engine/step_block": (),
    "engine/training_step": ("engine/network", "engine/parts", "engine/step_block"),
    "engine/forward_pass": ("engine/network",),
    "engine/kernels": (
        "engine/forward_pass",
        "engine/network",
        "engine/parts",
        "engine/training_step",
    ),
    "engine/rounded_items": (),
    "engine/bound_kernels": ("engine/rounded_items",),
    "engine/processor": (),
    "engine/dispatch": (
        "engine/bf16_kernels",
        "engine/bound_kernels",
        "engine/kernels",
        "engine/processor",
    ),
    "engine/huge_pages": (),
    "engine/buffer": ("engine/huge_pages",),
    "engine/thread_pool": (),
    "isa/simd": (),
    "isa/index_array": ("isa/simd",),
    "isa/vector_math": ("isa/simd",),
    "isa/product": ("isa/simd",),
    "isa/lane_matrix": ("isa/product",),
    "isa/tiles": ("isa/simd",),
    "isa/factor": ("engine", "isa/product", "isa/row_prefetch"),
    "isa/bf16": ("engine", "isa/few_rows", "isa/row_prefetch", "isa/simd", "isa/tiles"),
    "isa/philox": ("isa/simd",),
    "isa/dropout": ("isa/lane_matrix", "isa/philox"),
    "isa/half_rows": ("engine", "isa/lane_matrix"),
    "isa/few_rows": ("isa/lane_matrix",),
    "isa/score_tile": ("engine", "isa/few_rows", "isa/half_rows", "isa/lane_matrix"),
    "isa/row_prefetch": ("engine", "isa/simd"),
    "isa/row_rounding": ("isa/half_rows", "isa/philox", "isa/row_prefetch"),
    "isa/gathered_tables": ("engine", "isa/index_array", "isa/row_rounding"),
    "isa/optimisers": ("engine", "isa/index_array", "isa/row_prefetch", "isa/vector_math"),
    "isa/activation": ("engine", "isa/vector_math"),
    "isa/losses": ("engine", "isa/activation", "isa/lane_matrix", "isa/vector_math"),
    "isa/cells": (
        "engine",
        "isa/activation",
        "isa/factor",
        "isa/lane_matrix",
        "isa/optimisers/optimiser",
        "isa/vector_math",
    ),
    "isa/layer": ("engine", "isa/cells", "isa/dropout"),
    "isa/input_rows": ("engine", "isa/cells/cell", "isa/dropout", "isa/index_array"),
    "isa/item_rows": ("engine", "isa/cells/cell", "isa/input_rows", "isa/losses"),
    "isa/forward_pass": ("engine", "isa/half_rows", "isa/index_array", "isa/layer", "isa/simd"),
    "isa/training_step": (
        "engine",
        "isa/simd",
        "isa/gathered_tables",
        "isa/input_rows",
        "isa/item_rows",
        "isa/layer",
        "isa/optimisers",
    ),
    "isa/best_items": ("isa/simd",),
    "isa/target_counts": ("engine", "isa/score_tile"),
    "isa/rank_counts": ("engine", "isa/simd", "isa/target_counts"),
    "isa/top_k": ("engine", "isa/simd", "isa/best_items", "isa/score_tile"),
    "isa/bounds": (
        "engine",
        "isa/simd",
        "isa/index_array",
        "isa/lane_matrix",
        "isa/best_items",
        "isa/score_tile",
        "isa/target_counts",
        "isa/tiles",
    ),
    "isa/item_scores": ("engine", "isa/simd", "isa/score_tile"),
    "isa/kernels": ("engine", "isa"),
    "baselines": ("data",),
    "bindings": ("baselines", "data", "engine"),
    "tests": ("baselines", "data", "engine"),
}

FILES = sorted(p for p in CSRC.rglob("*") if p.suffix in (".h", ".cpp"))


def layer_of(name: str) -> str:
    """The longest key of LAYERS that is the name or a folder of it."""
    matches = [key for key in LAYERS if name == key or name.startswith(key + "/")]
    assert matches, f"{name} is in no layer of LAYERS"
    return max(matches, key=len)


def includes(path: Path) -> list[str]:
    """The project's headers that a file includes, without their suffix."""
    return re.findall(r'^\s*#\s*include\s+"(.+)\.h"', path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CSRC)))
def test_includes_point_down(path: Path) -> None:
    name = str(path.relative_to(CSRC).with_suffix(""))
    layer = layer_of(name)
    for included in includes(path):
        assert (CSRC / f"{included}.h").is_file(), f"{included}.h is not below csrc/"
        same = layer_of(included) == layer
        below = any(included == key or included.startswith(key + "/") for key in LAYERS[layer])
        assert same or below, f"{name} includes {included}, which is not below {layer}"


def test_the_layers_have_no_cycle() -> None:
    seen: list[str] = []

    def visit(layer: str, path: tuple[str, ...]) -> None:
        assert layer not in path, " -> ".join((*path, layer))
        if layer in seen:
            return
        for below in LAYERS[layer]:
            for key in {layer_of(below)} if below not in ("engine", "isa") else set():
                visit(key, (*path, layer))
        seen.append(layer)

    for layer in LAYERS:
        visit(layer, ())


def test_files_stay_readable() -> None:
    longest = {str(p.relative_to(CSRC)): len(p.read_text().splitlines()) for p in FILES}
    assert all(lines <= 350 for lines in longest.values()), longest
