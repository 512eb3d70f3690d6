"""Plain state_dicts, which other tools save: read from a file, and understood by their shapes.

They hold tensors alone, no hyper-parameters. The structure of the network therefore follows from
the names and shapes, here and nowhere else. Nothing is ever unpickled into an object.
"""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast.config import Config
from gru4rec_fast.errors import CheckpointError, ParameterError
from gru4rec_fast.spec import CELLS, NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first bytes of a file of torch.save that is no zip archive (before PyTorch 1.6)."""
STATE_DICT_NAMES = (
    "Wy.weight, By.weight, G.{i}.weight_ih, .weight_hh, .bias_ih, .bias_hh and, by embedding "
    "mode, E.weight or GE.Wx0.weight, GE.Wrz0, GE.Wh0, GE.Bh0; F.{i}.weight, .bias of feed-forward "
    "layers"
)
GATES = {spec.gates: cell for cell, spec in CELLS.items() if "weight_hh" in spec.recurrent(1)}
"""Number of gates -> the cell that has as many in `weight_hh`."""
DEFAULT_CELL: dict[str, Any] = {"cell": "gru", "reset": None}
HYPER_PARAMETERS: dict[str, dict[str, Any]] = {
    "gru-reset-after": {"cell": "gru", "reset": "after"},
    "gru-reset-before": {"cell": "gru", "reset": "before"},
    "lstm": {"cell": "lstm", "reset": None},
    "rnn": {"cell": "rnn", "reset": None},
}
"""Cell -> the hyper-parameters that ask for it in every layer."""
RECURRENT = ("Wh0", "weight_hh")
"""One of these is a weight of every cell; its columns are the units."""


def infer_config(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """The hyper-parameters that decide the structure of a state_dict, from its names and shapes.

    These are `layers`, `cell`, `reset`, `feed_forward`, `embedding`, `constrained_embedding`.
    Activations leave no trace in a state_dict: those of the result are the defaults.

    Raises:
        CheckpointError: a name is missing or unknown, or a shape does not fit the others.
    """
    n_items, _ = _matrix(tensors, "Wy.weight")
    one_hot = any(name.startswith("GE.") for name in tensors)
    separate = not one_hot and "E.weight" in tensors
    found = [_cell(tensors, "GE.", "Wh0")] if one_hot else []
    while not found or any(_layer(len(found) - one_hot) + n in tensors for n in RECURRENT):
        found.append(_cell(tensors, _layer(len(found) - one_hot), "weight_hh"))
    feed_forward: list[int] = []
    while f"F.{len(feed_forward)}.weight" in tensors:
        feed_forward.append(_matrix(tensors, f"F.{len(feed_forward)}.weight")[0])
    inferred = {
        "layers": tuple(units for _, units in found),
        "feed_forward": tuple(feed_forward),
        "embedding": _matrix(tensors, "E.weight")[1] if separate else 0,
        "constrained_embedding": not one_hot and not separate,
    }
    try:
        inferred |= _cell_parameters(inferred, tuple(cell for cell, _ in found))
        shapes = NetworkSpec.of(Config().replace(**inferred), n_items).parameters
    except ParameterError as error:
        raise CheckpointError(f"has tensors of no possible network ({error})") from error
    for name, shape in shapes.items():
        if _tensor(tensors, name).shape != shape:
            raise _misfit(tensors, name, ", ".join(map(str, shape)))
    unknown = [name for name in tensors if name not in shapes]
    if unknown:
        raise CheckpointError(
            f"has tensors of no known meaning: {', '.join(unknown)}; expected the state_dict of a "
            f"GRU4Rec model alone ({STATE_DICT_NAMES})"
        )
    return inferred


def _layer(number: int) -> str:
    return f"G.{number}."


def _cell(tensors: Mapping[str, torch.Tensor], prefix: str, otherwise: str) -> tuple[str, int]:
    """Name and units of a layer's cell; `otherwise` is the weight that an error names."""
    if prefix + "Wh0" in tensors or prefix + "weight_hh" not in tensors:
        name = "Wh0" if prefix + "Wh0" in tensors else otherwise
        return "gru-reset-before", _matrix(tensors, prefix + name)[1]
    rows, units = _matrix(tensors, prefix + "weight_hh")
    gates = rows // units if units and rows % units == 0 else 0
    return GATES.get(gates, "gru-reset-after"), units


def _cell_parameters(inferred: dict[str, Any], cells: tuple[str, ...]) -> dict[str, Any]:
    """`cell` and `reset` that ask for these cells, the defaults if they do."""
    for choice in (DEFAULT_CELL, HYPER_PARAMETERS[cells[0]]):
        if Config().replace(**inferred, **choice).cells == cells:
            return choice
    raise ParameterError(f"its layers have the cells {', '.join(cells)}: no model mixes these")


def _tensor(tensors: Mapping[str, torch.Tensor], name: str) -> torch.Tensor:
    if name not in tensors:
        raise CheckpointError(
            f"has no tensor {name!r}: expected the state_dict of a GRU4Rec model "
            f"({STATE_DICT_NAMES}); it holds {', '.join(tensors) or 'nothing'}"
        )
    return tensors[name]


def _matrix(tensors: Mapping[str, torch.Tensor], name: str) -> tuple[int, int]:
    """The shape of a tensor that has two dimensions."""
    if _tensor(tensors, name).ndim != 2:
        raise _misfit(tensors, name, "any, any")
    rows, columns = tensors[name].shape
    return rows, columns


def _misfit(tensors: Mapping[str, torch.Tensor], name: str, expected: str) -> CheckpointError:
    found = tuple(tensors[name].shape)
    return CheckpointError(
        f"tensor {name!r} has the shape {found}: expected ({expected}), to fit the others"
    )


def load_torch(path: Path, head: bytes) -> dict[str, torch.Tensor]:
    """The tensors of a file of torch.save, by name.

    Args:
        path: the file.
        head: its first bytes, at least `len(LEGACY_TORCH)` of them if it has so many.

    Raises:
        CheckpointError: it is damaged, holds a pickled object, or anything beside tensors.
    """
    archive = head.startswith(b"PK")
    if archive:
        try:
            with zipfile.ZipFile(path) as members:
                names = members.namelist()
        except Exception as error:  # zipfile, too, raises whatever damage leads to.
            raise damaged(error) from error
        if not any(name.endswith("/data.pkl") for name in names):
            raise foreign()
    if not archive and head != LEGACY_TORCH:
        raise _pickled()
    try:
        # PyTorch takes a path with this ending for the other format, whatever the file holds.
        if path.suffix == ".safetensors":
            with path.open("rb") as file:
                loaded = torch.load(file, map_location="cpu", weights_only=True)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as error:
        raise _pickled() from error
    except Exception as error:  # PyTorch's reader raises whatever a damaged file leads to.
        raise damaged(str(error).partition("\n")[0] or "it ends too early") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(
            f"holds a {type(loaded).__name__}: expected the state_dict of a GRU4Rec model, saved "
            "with torch.save(gru.model.state_dict(), path)"
        )
    for name, value in loaded.items():
        if not (isinstance(name, str) and isinstance(value, torch.Tensor)):
            raise CheckpointError(
                f"holds a {type(value).__name__} under {name!r}: expected a state_dict, which has "
                "tensors alone; save it with torch.save(gru.model.state_dict(), path)"
            )
    return dict(loaded)


def foreign() -> CheckpointError:
    """The error of a file of another kind."""
    return CheckpointError(
        "is not a model file: expected one of savemodel, or a state_dict as safetensors or by "
        "torch.save"
    )


def damaged(cause: object) -> CheckpointError:
    """The error of a file whose content is incomplete or changed."""
    return CheckpointError(f"is truncated or damaged ({cause}): copy or save the model again")


def _pickled() -> CheckpointError:
    return CheckpointError(
        "holds a pickled object, which could run any code when loaded and is therefore refused; "
        "in the environment where it was written, run "
        "torch.save(gru.model.state_dict(), path) and load that file"
    )
