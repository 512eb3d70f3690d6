"""A model in one file: safetensors, with the hyper-parameters and whatever else as JSON inside.

The header's metadata holds `format` and `format_version`, and under `meta` a JSON object: `config`,
`item_key`, `extra`. The tensors are the model's, by their state_dict names, and the item ids:
`item_ids` (V,) int64, or for text `item_ids.bytes` (uint8, UTF-8, id after id) and
`item_ids.offsets` (V + 1,) int64. More tensors of any name and more JSON in `extra` are kept as
they are, so optimiser state and the position in training find room.

Plain state_dicts with the same names can be loaded too. Nothing is ever unpickled into an object.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import re
import secrets
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from gru4rec_fast.config import Config
from gru4rec_fast.data.sessions import (
    INT64_MAX,
    INT64_MIN,
    holds_integers,
    is_unicode,
    numbered_items,
    require_numbering,
)
from gru4rec_fast.errors import CheckpointError, DataError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FORMAT = "gru4rec-fast"
FORMAT_VERSION = 1
ITEM_IDS, ITEM_BYTES, ITEM_OFFSETS = "item_ids", "item_ids.bytes", "item_ids.offsets"
LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""What a file of torch.save begins with if it is not a zip archive."""
STATE_DICT_NAMES = (
    "Wy.weight, By.weight, G.{i}.weight_ih, .weight_hh, .bias_ih, .bias_hh and, by embedding "
    "mode, E.weight or GE.Wx0.weight, GE.Wrz0, GE.Wh0, GE.Bh0"
)
MODEL_TENSOR = re.compile(r"(Wy|By|E|GE|G)\.")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a file holds; `config` and `itemidmap` are None for a plain state_dict."""

    tensors: dict[str, torch.Tensor]
    """On the CPU, without the item ids; backed by a private map of the file, read when used."""
    config: Config | None
    itemidmap: pd.Series[int] | None
    """Index: item ids, named by the item column; values 0..V-1."""
    extra: dict[str, Any]


def save(
    path: str | os.PathLike[str],
    tensors: Mapping[str, torch.Tensor],
    config: Config,
    itemidmap: pd.Series[int],
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a model to `path`, replacing what is there only once the new file is complete on disk.

    Args:
        path: the file; its folder must exist. A killed process can leave hidden
            temporary files (`.*.tmp`, `.tmp*`) beside it, which are safe to delete.
        tensors: of any type, shape and device; views are written as the values they show.
        config: hyper-parameters.
        itemidmap: item id (integer or text) -> item index, 0..V-1.
        extra: JSON values (keys are text; tuples come back as lists).

    Raises:
        CheckpointError: the file cannot be written, and then nothing is left behind; `extra` is
            not JSON; a tensor has a name that the item ids need; `itemidmap` is no numbering.
    """
    reserved = {ITEM_IDS, ITEM_BYTES, ITEM_OFFSETS}.intersection(tensors)
    if reserved:
        raise CheckpointError(f"tensor name {reserved.pop()!r} is reserved: choose another")
    meta = {"config": config.to_dict(), "item_key": itemidmap.index.name, "extra": extra or {}}
    try:
        text = json.dumps(meta)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"extra: {error}: expected JSON values; pass tensors in `tensors`"
        ) from error
    metadata = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "meta": text}
    content = {**_separate(tensors), **_item_tensors(itemidmap)}
    # A link stays a link: its target is replaced.
    target = _path(path).resolve()
    try:
        with _written_aside(target) as aside:
            save_file(content, aside, metadata=metadata)
    except (OSError, SafetensorError) as error:
        raise _unwritable(target, error) from error


def require_writable(path: str | os.PathLike[str]) -> None:
    """Find out before a long training what `save` would find out after it.

    Raises:
        CheckpointError: no file can be made at `path`.
    """
    target = _path(path).resolve()
    try:
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder")
        with tempfile.NamedTemporaryFile(dir=target.parent):
            return
    except OSError as error:
        raise _unwritable(target, error) from error


def load(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a file of `save`, or a plain state_dict (safetensors, or torch.save of tensors only).

    Raises:
        CheckpointError: no such file; truncated, damaged or foreign content; tensors that do not
            fit the hyper-parameters beside them; a newer format; a pickled object. Each says
            what to do.
    """
    source = _path(path)
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
            tensors = _load_torch(source, head)
            infer_config(tensors)
            return Checkpoint(tensors, None, None, {})
        if len(head) <= 8:
            raise CheckpointError("is empty or cut off: copy or save the model again")
        raise _foreign()
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{os.fspath(path)}: cannot be read ({error})") from error


def _path(path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise CheckpointError(
            f"path is of type {type(path).__name__}: expected the path of a model file, as text or "
            "os.PathLike"
        )
    if not os.fspath(path):
        raise CheckpointError("path is empty: expected the path of a model file")
    return Path(path)


def infer_config(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """`layers`, `embedding` and `constrained_embedding` of a state_dict, from its shapes.

    Raises:
        CheckpointError: a name is missing or unknown, or a shape does not fit the others.
    """
    names: set[str] = set()

    def shape(name: str, *expected: int | None) -> tuple[int, ...]:
        """The shape of a tensor, in which None stands for any size."""
        names.add(name)
        if name not in tensors:
            raise CheckpointError(
                f"has no tensor {name!r}: expected the state_dict of a GRU4Rec model "
                f"({STATE_DICT_NAMES}); it holds {', '.join(tensors) or 'nothing'}"
            )
        found = tuple(tensors[name].shape)
        if len(found) != len(expected) or any(
            size not in (None, actual) for size, actual in zip(expected, found, strict=True)
        ):
            wanted = ", ".join("any" if size is None else str(size) for size in expected)
            raise CheckpointError(
                f"tensor {name!r} has the shape {found}: expected ({wanted}), to fit the others"
            )
        return found

    n_items, last = shape("Wy.weight", None, None)
    shape("By.weight", n_items, 1)
    layers: list[int] = []
    embedding, width = 0, last
    one_hot = any(name.startswith("GE.") for name in tensors)
    if one_hot:
        width, _ = shape("GE.Wh0", None, None)
        shape("GE.Wh0", width, width)
        shape("GE.Wrz0", width, 2 * width)
        shape("GE.Bh0", 3 * width)
        shape("GE.Wx0.weight", n_items, 3 * width)
        layers.append(width)
    elif "E.weight" in tensors:
        _, embedding = shape("E.weight", n_items, None)
        width = embedding
    cell = 0
    while f"G.{cell}.weight_hh" in tensors or not layers:
        _, units = shape(f"G.{cell}.weight_hh", None, None)
        shape(f"G.{cell}.weight_hh", 3 * units, units)
        shape(f"G.{cell}.weight_ih", 3 * units, width)
        shape(f"G.{cell}.bias_ih", 3 * units)
        shape(f"G.{cell}.bias_hh", 3 * units)
        layers.append(units)
        width = units
        cell += 1
    shape("Wy.weight", n_items, layers[-1])
    unknown = [name for name in tensors if name not in names]
    if unknown:
        raise CheckpointError(
            f"has tensors of no known meaning: {', '.join(unknown)}; expected the state_dict of a "
            f"GRU4Rec model alone ({STATE_DICT_NAMES})"
        )
    shared = not one_hot and not embedding
    return {"layers": tuple(layers), "embedding": embedding, "constrained_embedding": shared}


# -- Writing -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _written_aside(target: Path) -> Iterator[Path]:
    """A new file beside `target` that takes its place when the block ends, or else vanishes."""
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder")
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        aside.touch(exist_ok=False)
        mode = (target if target.exists() else aside).stat().st_mode
        yield aside
        # safetensors makes files that their owner alone can read.
        aside.chmod(mode & 0o777)
        _flush(aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    if os.name == "posix":
        _flush(target.parent)


def _unwritable(target: Path, error: Exception) -> CheckpointError:
    # The system's own message would name the temporary file.
    cause = getattr(error, "strerror", None) or error
    if not target.parent.is_dir():
        cause = f"there is no folder {target.parent}"
    return CheckpointError(
        f"{target}: cannot be written ({cause}): expected a file name in an existing, "
        "writable folder on a disk with room; any older file there is unchanged"
    )


def _flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _separate(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Contiguous tensors of a storage each, as safetensors wants them; copied only if they must."""
    separate: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().contiguous()
        if own.numel():
            storage = own.untyped_storage().data_ptr()
            if storage in storages:
                own = own.clone()
            storages.add(storage)
        separate[name] = own
    return separate


def _item_tensors(itemidmap: pd.Series[int]) -> dict[str, torch.Tensor]:
    try:
        require_numbering(itemidmap)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    ids = itemidmap.index[np.argsort(itemidmap.to_numpy())]
    if holds_integers(ids):
        if not INT64_MIN <= int(ids.min()) <= int(ids.max()) <= INT64_MAX:
            raise CheckpointError(
                f"itemidmap holds the ids {ids.min()} to {ids.max()}: expected integers that fit "
                "int64; convert larger ids to text"
            )
        return {ITEM_IDS: torch.from_numpy(np.array(ids, dtype=np.int64))}
    if not all(isinstance(item, str) for item in ids):
        raise CheckpointError(
            f"itemidmap: its index holds {pd.api.types.infer_dtype(ids)}: expected integers or text"
        )
    for item in ids:
        if not is_unicode(item):
            raise CheckpointError(
                f"itemidmap holds the id {item!r}, which is not valid Unicode (a lone surrogate): "
                "expected text that UTF-8 can encode; rename the item"
            )
    encoded = [item.encode() for item in ids]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum([len(item) for item in encoded], out=offsets[1:])
    text = np.frombuffer(bytearray(b"".join(encoded)), dtype=np.uint8)
    return {ITEM_BYTES: torch.from_numpy(text), ITEM_OFFSETS: torch.from_numpy(offsets)}


# -- Reading -----------------------------------------------------------------------------------


def _load_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            if metadata.get("format") == FORMAT:
                _require_readable(metadata.get("format_version", ""))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise _damaged(error) from error
    if metadata.get("format") != FORMAT:
        infer_config(tensors)
        return Checkpoint(tensors, None, None, {})
    try:
        meta = json.loads(metadata["meta"])
        ids = _item_ids(tensors)
        config, extra, item_key = meta["config"], dict(meta["extra"]), meta["item_key"]
        itemidmap = numbered_items(ids, item_key)
        require_numbering(itemidmap)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(error) from error
    try:
        hyper_parameters = Config().replace(**config)
    except ParameterError as error:
        raise CheckpointError(
            f"holds hyper-parameters that this version does not accept ({error}): load it with "
            "the version of gru4rec-fast that wrote it"
        ) from error
    if "Wy.weight" in tensors and len(tensors["Wy.weight"]) != len(itemidmap):
        raise _damaged(f"{len(itemidmap)} item ids for {len(tensors['Wy.weight'])} items")
    _require_fit(tensors, hyper_parameters)
    return Checkpoint(tensors, hyper_parameters, itemidmap, extra)


def _require_fit(tensors: dict[str, torch.Tensor], config: Config) -> None:
    """The model's tensors, whatever others are beside them, have the shapes that `config` says."""
    inferred = infer_config(
        {name: tensor for name, tensor in tensors.items() if MODEL_TENSOR.match(name)}
    )
    for name, value in inferred.items():
        stated = getattr(config, name)
        if stated != value:
            raise _damaged(f"its tensors are of {name}={value}, its hyper-parameters {stated}")


def _require_readable(version: str) -> None:
    if not version.isdecimal():
        raise _damaged(f"format_version {version!r}")
    if int(version) > FORMAT_VERSION:
        raise CheckpointError(
            f"is of format {version}, but this version reads formats up to {FORMAT_VERSION}: "
            "it was saved by a newer gru4rec-fast; upgrade with pip install -U gru4rec-fast"
        )


def _item_ids(tensors: dict[str, torch.Tensor]) -> list[str] | np.ndarray[Any, Any]:
    """The ids in order of their item index, taken out of `tensors`."""
    if ITEM_IDS in tensors:
        # Copied, so that the map does not hold on to the file.
        return np.array(tensors.pop(ITEM_IDS).numpy(), dtype=np.int64)
    text = tensors.pop(ITEM_BYTES).numpy().tobytes()
    offsets = tensors.pop(ITEM_OFFSETS).tolist()
    if offsets[:1] != [0] or offsets[-1] != len(text) or sorted(offsets) != offsets:
        raise ValueError("the offsets of the item ids do not fit their text")
    return [text[start:end].decode() for start, end in itertools.pairwise(offsets)]


def _load_torch(path: Path, head: bytes) -> dict[str, torch.Tensor]:
    archive = head.startswith(b"PK")
    if archive:
        if not zipfile.is_zipfile(path):
            raise _damaged("the archive has no end")
        with zipfile.ZipFile(path) as members:
            if not any(name.endswith("/data.pkl") for name in members.namelist()):
                raise _foreign()
    if not archive and head != LEGACY_TORCH:
        raise _pickled()
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as error:
        raise _pickled() from error
    except (RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise _damaged(str(error).partition("\n")[0] or "it ends too early") from error
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


def _foreign() -> CheckpointError:
    return CheckpointError(
        "is not a model file: expected one of savemodel, or a state_dict as safetensors or by "
        "torch.save"
    )


def _damaged(cause: object) -> CheckpointError:
    return CheckpointError(f"is truncated or damaged ({cause}): copy or save the model again")


def _pickled() -> CheckpointError:
    return CheckpointError(
        "holds a pickled object, which could run any code when loaded and is therefore refused; "
        "in the environment where it was written, run "
        "torch.save(gru.model.state_dict(), path) and load that file"
    )
