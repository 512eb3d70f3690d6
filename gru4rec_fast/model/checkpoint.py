"""A model in one safetensors file, with the hyper-parameters and further values as JSON.

The header's metadata holds `format`, `format_version`, a checksum (`sha256`), and under `meta` a
JSON object: `config`, `item_key`, `columns` (names of the training log's columns; older files lack
it), `extra`. The tensors are the model's, by the names of `NetworkSpec.parameters`, the item ids
(see `item_ids`), and `support` (V,) int64, the items' training events (older files lack it). More
tensors of any other name and more JSON in `extra` are kept as they are: a training state has
optimiser state and its position there.

Plain state_dicts with the same names can be loaded as well (see `state_dict`).
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from gru4rec_fast.config import Config
from gru4rec_fast.errors import CheckpointError, ParameterError
from gru4rec_fast.model import checksum, item_ids, tensor_file
from gru4rec_fast.model.atomic_file import written_aside
from gru4rec_fast.model.state_dict import LEGACY_TORCH, damaged, foreign, infer_config, load_torch
from gru4rec_fast.parameter import as_text
from gru4rec_fast.spec import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from gru4rec_fast.model.tensor_file import Rows

FORMAT = "gru4rec-fast"
FORMAT_VERSION = 1
STRUCTURE = ("layers", "embedding", "constrained_embedding", "cell", "reset", "feed_forward")
"""Hyper-parameters that decide the shapes of the tensors."""
NAMED_IF_CHANGED = ("cell", "reset", "feed_forward")
"""Those of them that an error names only where they are not the default."""
SUPPORT = "support"
MODEL_PREFIXES = ("Wy.", "By.", "E.", "GE.", "G.", "F.")
"""What the names of a model's tensors begin with; a file may hold others beside them."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file holds; `config` and `itemidmap` are None for a plain state_dict."""

    tensors: dict[str, torch.Tensor]
    """On the CPU, without the item ids; memory-mapped from the file, copied on write."""
    config: Config | None
    itemidmap: pd.Series[int] | None
    """Index: item ids, named by the item column; values 0..V-1."""
    extra: dict[str, Any]
    columns: dict[str, str | None]
    """item_key, session_key and time_key of the training log; only the first in an older file, none
    for a plain state_dict."""
    support: NDArray[np.int64] | None = None
    """(V,) training events of each item; None in an older file and for a plain state_dict."""
    verified: bool = False
    """Whether the file has a checksum; a file whose content differs from it is refused."""

    @property
    def model_tensors(self) -> dict[str, torch.Tensor]:
        """The tensors without those of a training state; all of a plain state_dict."""
        if self.config is None:
            return self.tensors
        return {n: t for n, t in self.tensors.items() if n.startswith(MODEL_PREFIXES)}


def save(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Rows],
    config: Config,
    itemidmap: pd.Series[int],
    extra: Mapping[str, Any] | None = None,
    *,
    columns: Mapping[str, str | None] | None = None,
    support: NDArray[np.int64] | None = None,
) -> None:
    """Write a model to `path`, replacing what is there only once the new file is complete on disk.

    Args:
        path: the file; its folder must exist. A killed process can leave hidden
            temporary files (`.*.tmp`, `.tmp*`) beside it, which are safe to delete.
        tensors: of any type, shape and device; views are written as the values they show, and rows
            are read some at a time.
        config: hyper-parameters.
        itemidmap: item id (integer or text) -> item index, 0..V-1.
        extra: JSON values (keys are text; tuples come back as lists).
        columns: item_key, session_key and time_key of the training log, if they are known.
        support: (V,) training events of each item, if they are known.

    Raises:
        CheckpointError: the file cannot be written, and then nothing is left behind; `extra` is
            not JSON; a tensor has a name that the item ids need; `itemidmap` is no numbering.
    """
    for name in tensors:
        if name in item_ids.NAMES or name == SUPPORT:
            raise CheckpointError(f"tensor name {name!r} is reserved: choose another")
    meta = {
        "config": config.to_dict(),
        "item_key": itemidmap.index.name,
        "columns": dict(columns or {}),
        "extra": extra or {},
    }
    try:
        text = json.dumps(meta)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"extra: {error}: expected JSON values; pass tensors in `tensors`"
        ) from error
    metadata = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "meta": text}
    content: dict[str, Rows] = {**tensors, **item_ids.as_tensors(itemidmap)}
    if support is not None:
        content[SUPPORT] = torch.from_numpy(np.array(support, dtype=np.int64))
    write_tensors(file_path(path), content, metadata)


def write_tensors(path: Path, content: Mapping[str, Rows], metadata: dict[str, str]) -> None:
    """Write a safetensors file with a checksum, complete or not at all.

    Raises:
        CheckpointError: it cannot be written; nothing is left behind then.
    """
    # A link stays a link; the file that it points to is replaced.
    target = path.resolve()
    try:
        with written_aside(target) as aside:
            tensor_file.write(aside, content, metadata)
    except OSError as error:
        raise unwritable(target, error) from error


def require_writable(path: str | os.PathLike[str]) -> None:
    """Check before a long training that `save` can write to `path` after it.

    Raises:
        CheckpointError: no file can be made at `path`.
    """
    target = file_path(path).resolve()
    try:
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder")
        with tempfile.NamedTemporaryFile(dir=target.parent):
            return
    except OSError as error:
        raise unwritable(target, error) from error


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file of `save`, or a plain state_dict (safetensors, or torch.save of tensors only).

    Raises:
        CheckpointError: no such file; truncated, damaged or foreign content; tensors that do not
            fit the hyper-parameters beside them; a newer format; a pickled object. Each says
            what to do.
    """
    source = file_path(path)
    try:
        if source.is_dir():
            raise CheckpointError("is a folder: expected the path of a saved model")
        if not source.is_file():
            raise CheckpointError("no such file: expected the path of a saved model")
        with source.open("rb") as file:
            head = file.read(len(LEGACY_TORCH))
        if head[8:9] == b"{":
            return _load_safetensors(source)
        if head.startswith((b"PK\x03\x04", b"\x80")):
            tensors = load_torch(source, head)
            infer_config(tensors)
            return Checkpoint(tensors, None, None, {}, {})
        if len(head) <= 8:
            raise CheckpointError("is empty or cut off: copy or save the model again")
        raise foreign()
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{os.fspath(path)}: cannot be read ({error})") from error


def file_path(path: object) -> Path:
    """The path of a model file that a caller gave.

    Raises:
        CheckpointError: it is no path, or empty.
    """
    if not isinstance(path, str | os.PathLike):
        raise CheckpointError(
            f"path is of type {type(path).__name__}: expected the path of a model file, as text or "
            "os.PathLike"
        )
    if not os.fspath(path):
        raise CheckpointError("path is empty: expected the path of a model file")
    return Path(path)


def unwritable(target: Path, error: Exception) -> CheckpointError:
    """The error that says why a file cannot be written, and what to do."""
    # The system's own message names the temporary file.
    cause = getattr(error, "strerror", None) or error
    if not target.parent.is_dir():
        cause = f"there is no folder {target.parent}"
    return CheckpointError(
        f"{target}: cannot be written ({cause}): expected a file name in an existing, "
        "writable folder on a disk with room; any older file there is unchanged"
    )


def _load_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            if metadata.get("format") == FORMAT:
                _require_readable(metadata.get("format_version", ""))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise damaged(error) from error
    if metadata.get("format") != FORMAT:
        infer_config(tensors)
        return Checkpoint(tensors, None, None, {}, {})
    stored = metadata.get(checksum.KEY)
    if stored is not None and stored != checksum.checksum(tensors, metadata):
        raise damaged("its content differs from its checksum")
    try:
        meta = json.loads(metadata["meta"])
        config, extra = meta["config"], dict(meta["extra"])
        columns = _columns(meta)
        itemidmap = item_ids.from_tensors(tensors, meta["item_key"])
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(error) from error
    try:
        hyper_parameters = Config().replace(**config)
    except ParameterError as error:
        raise CheckpointError(
            f"holds hyper-parameters that this version does not accept ({error}): load it with "
            "the version of gru4rec-fast that wrote it"
        ) from error
    n_items = len(itemidmap)
    rows = tensors["Wy.weight"].shape[:1] if "Wy.weight" in tensors else ()
    if rows and rows[0] != n_items:
        raise damaged(f"{n_items} item ids for {rows[0]} items")
    _require_fit(tensors, hyper_parameters, n_items)
    support = tensors.pop(SUPPORT, None)
    if support is not None and (tuple(support.shape), support.dtype) != ((n_items,), torch.int64):
        raise damaged(f"{SUPPORT} is {support.dtype} of shape {tuple(support.shape)}")
    return Checkpoint(
        tensors,
        hyper_parameters,
        itemidmap,
        extra,
        columns,
        # A copy: the model must not keep the file open.
        None if support is None else np.array(support.numpy()),
        stored is not None,
    )


def _columns(meta: dict[str, Any]) -> dict[str, str | None]:
    """The names of columns, as in `Checkpoint`."""
    older = {} if meta["item_key"] is None else {"item_key": meta["item_key"]}
    columns = dict(meta.get("columns") or older)
    for key, name in columns.items():
        if not isinstance(name, str) and (name is not None or key != "time_key"):
            raise ValueError(f"{key} is {name!r}")
    return columns


def _require_fit(tensors: Mapping[str, torch.Tensor], config: Config, n_items: int) -> None:
    """The model's tensors have the names and shapes that the hyper-parameters ask for."""
    shapes = NetworkSpec.of(config, n_items).parameters
    values = {name: getattr(config, name) for name in STRUCTURE}
    structure = [
        f"{name}={as_text(value)}"
        for name, value in values.items()
        if name not in NAMED_IF_CHANGED or value != getattr(Config, name)
    ]
    asked = f"its hyper-parameters ({', '.join(structure)})"
    for name, expected in shapes.items():
        if name not in tensors:
            raise damaged(f"it has no tensor {name!r}, but {asked} ask for one")
        found = tuple(tensors[name].shape)
        if found != expected:
            raise damaged(f"tensor {name!r} has the shape {found}, but {asked} ask for {expected}")
    surplus = [n for n in tensors if n.startswith(MODEL_PREFIXES) and n not in shapes]
    if surplus:
        raise damaged(f"it has tensors of no known meaning: {', '.join(surplus)}; {asked}")


def _require_readable(version: str) -> None:
    if not version.isdecimal():
        raise damaged(f"format_version {version!r}")
    if int(version) > FORMAT_VERSION:
        raise CheckpointError(
            f"is of format {version}, but this version reads formats up to {FORMAT_VERSION}: "
            "it was saved by a newer gru4rec-fast; upgrade with pip install -U gru4rec-fast"
        )
