"""State_dicts and model files that the tests of checkpoints save."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gru4rec_fast.config import Config
from gru4rec_fast.model import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


V = 6
CONFIG = Config(layers=(4,))
ITEMS = pd.Series(range(V), index=pd.Index([30, 10, -7, 2**63 - 1, 0, 5], name="sku"))

SAVERS: dict[str, Callable[[Any, Path], None]] = {
    "safetensors": save_file,
    "safetensors with metadata": lambda t, p: save_file(t, p, metadata={"format": "pt"}),
    "torch": torch.save,
    "torch before 1.6": lambda t, p: torch.save(t, p, _use_new_zipfile_serialization=False),
}
"""How a state_dict is saved, by the tool that saves it."""


def state_dict(mode: str = "shared", layers: tuple[int, ...] = (4,)) -> dict[str, torch.Tensor]:
    """Distinct values under the names of SPEC section 10, for V items, of the default cells."""
    shapes: dict[str, tuple[int, ...]] = {"Wy.weight": (V, layers[-1]), "By.weight": (V, 1)}
    width, cells = layers[-1], layers
    if mode == "separate":
        shapes["E.weight"] = (V, 3)
        width = 3
    if mode == "one-hot":
        width, cells = layers[0], layers[1:]
        shapes["GE.Wx0.weight"] = (V, 3 * width)
        shapes["GE.Wrz0"] = (width, 2 * width)
        shapes["GE.Wh0"] = (width, width)
        shapes["GE.Bh0"] = (3 * width,)
    for i, units in enumerate(cells):
        shapes[f"G.{i}.weight_ih"] = (3 * units, width)
        shapes[f"G.{i}.weight_hh"] = (3 * units, units)
        shapes[f"G.{i}.bias_ih"] = shapes[f"G.{i}.bias_hh"] = (3 * units,)
        width = units
    generator = torch.Generator().manual_seed(1)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Same names, types and values."""
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def listing(folder: Path) -> list[str]:
    """The names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def rewritten(path: Path, metadata: dict[str, str], **tensors: torch.Tensor | None) -> None:
    """Write a good file, with some of its header and tensors replaced, or removed by None."""
    checkpoint.save(path, state_dict(), CONFIG, ITEMS)
    with safe_open(path, framework="pt") as file:
        header = {**file.metadata(), **metadata}
        header.pop("sha256")  # as a program would that knows nothing of checksums
        content = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    content.update({name: t for name, t in tensors.items() if t is not None})
    kept = {name: t for name, t in content.items() if tensors.get(name, t) is not None}
    save_file(kept, path, metadata=header)
