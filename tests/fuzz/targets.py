"""What is fuzzed: every entry that reads a file or a text from outside, as a function of bytes.

A target returns whether it accepted its input. It refuses one by an error that the entry documents;
any other error, and a crash, is a finding.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import tempfile
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from gru4rec_fast import GRU4Rec, prepare
from gru4rec_fast.cli.parameter_file import read_parameter_file
from gru4rec_fast.config import Config
from gru4rec_fast.data import store
from gru4rec_fast.data.array_files import HEADER, digest, header
from gru4rec_fast.data.items import numbered_items
from gru4rec_fast.data.sessions import load_sessions
from gru4rec_fast.errors import CheckpointError, DataError, ParameterError
from gru4rec_fast.model import checkpoint, checksum, item_ids
from gru4rec_fast.plan.lanes import lane_blocks
from gru4rec_fast.serving.catalogue import Catalogue
from gru4rec_fast.serving.session_file import read_sessions
from tests.fuzz.arrays import call_core
from tests.logs import random_log

if TYPE_CHECKING:
    from collections.abc import Callable

DTYPES = {name: np.dtype(name) for name in ("float32", "float64", "int32", "int64", "uint8")}
REFUSED = (DataError, ParameterError, CheckpointError)
warnings.filterwarnings("ignore", module="gru4rec_fast")


@cache
def folder() -> Path:
    """A folder of this process, in memory where the system has such."""
    shm = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=shm if os.access(shm, os.W_OK) else None))


def _file(name: str, content: bytes) -> Path:
    path = folder() / name
    path.write_bytes(content)
    return path


def _log(kind: str) -> Callable[[bytes], None]:
    def read(content: bytes) -> None:
        path = _file(f"log.{kind}", content)
        with suppress(*REFUSED):  # The other reader must not fail in another way either.
            load_sessions(path)
        prepare(path, folder() / "prepared", overwrite=True, memory="16M")

    return read


def _load_checkpoint(content: bytes) -> None:
    checkpoint.load(_file("model.safetensors", content))


@cache
def _small_model() -> checkpoint.Checkpoint:
    gru = GRU4Rec(layers=[4], n_sample=4, batch_size=4, n_epochs=1, device="cpu")
    gru.fit(random_log(12, 8), progress=False)
    path = folder() / "whole.safetensors"
    gru.savemodel(path)
    return checkpoint.load(path)


def _signed_metadata(content: bytes) -> None:
    """The metadata of a model file, with the checksum that an attacker can compute as well."""
    whole = _small_model()
    tensors = dict(whole.tensors)
    assert whole.itemidmap is not None
    tensors |= item_ids.as_tensors(whole.itemidmap)
    meta = content.decode("utf-8", "replace")
    metadata = {"format": checkpoint.FORMAT, "format_version": "1", "meta": meta}
    metadata[checksum.KEY] = checksum.checksum(tensors, metadata)
    path = folder() / "signed.safetensors"
    save_file(tensors, path, metadata=metadata)
    GRU4Rec.loadmodel(path, device="cpu")


@cache
def _whole_store() -> Path:
    path = folder() / "whole"
    prepare(random_log(12, 8), path)
    return path


def _store_copy() -> tuple[Path, dict[str, Any]]:
    copy = folder() / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(_whole_store(), copy)
    manifest = json.loads((copy / store.MANIFEST).read_text())
    del manifest["sha256"]
    return copy, manifest


def _use(path: Path) -> None:
    """Whatever reads the arrays of a store."""
    sessions = store.open_store(path)
    try:
        for block in lane_blocks(sessions, 4, block_steps=8):
            if not len(block.live):
                break
    except ValueError as error:  # of C++, for offsets and orders that do not fit
        raise DataError(str(error)) from error
    load_sessions(path, itemidmap=numbered_items(np.arange(0, 70, 7), "ItemId"))
    for ids in (sessions.itemidmap.index, sessions.session_ids):
        len(ids)


def _manifest(content: bytes) -> None:
    copy, _ = _store_copy()
    (copy / store.MANIFEST).write_bytes(content)
    store.verify(copy)


def _signed_manifest(content: bytes) -> None:
    try:
        values = json.loads(content)
        values.pop("sha256", None)
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise DataError("no JSON object") from None
    copy, _ = _store_copy()
    store.write_manifest(copy, values)
    _use(copy)


def _signed_array(content: bytes) -> None:
    """The values of an array of a store: byte 0 says of which."""
    copy, manifest = _store_copy()
    names = sorted(manifest["arrays"])
    name = names[content[0] % len(names)] if content else names[0]
    entry = manifest["arrays"][name]
    dtype = np.dtype(entry["dtype"])
    size = entry["length"] * dtype.itemsize
    values = np.frombuffer(content[1 : 1 + size].ljust(size, b"\0"), dtype=dtype)
    (copy / f"{name}.npy").write_bytes(header(dtype, len(values)) + values.tobytes())
    assert (copy / f"{name}.npy").stat().st_size == HEADER + size
    entry["sha256"] = digest(values)
    store.write_manifest(copy, manifest)
    _use(copy)


def _sessions_file(content: bytes) -> None:
    read_sessions(_file("live.safetensors", content), _catalogue())


def _signed_sessions(content: bytes) -> None:
    """Tensors of a file of live sessions as JSON lists, and its metadata, with a right checksum."""
    try:
        values = json.loads(content)
        meta = json.dumps(values.pop("meta"))
        tensors = {
            name: torch.from_numpy(np.array(value[1], dtype=DTYPES[value[0]]))
            for name, value in values.items()
        }
    except (ValueError, KeyError, AttributeError, TypeError, IndexError, RecursionError):
        raise DataError("no tensors") from None
    except OverflowError:
        raise DataError("no such numbers") from None
    metadata = {"format": "gru4rec-fast-sessions", "format_version": "1", "meta": meta}
    metadata[checksum.KEY] = checksum.checksum(tensors, metadata)
    path = folder() / "live-signed.safetensors"
    try:
        save_file(tensors, path, metadata=metadata)
    except (SafetensorError, ValueError) as error:
        raise DataError(str(error)) from error
    live = _catalogue_model().live(capacity=8, last=3)
    live.restore(path)


@cache
def _catalogue_model() -> GRU4Rec:
    gru = GRU4Rec(layers=[4], n_sample=4, batch_size=4, n_epochs=1, device="cpu")
    return gru.fit(random_log(12, 8), progress=False)


@cache
def _catalogue() -> Catalogue:
    return Catalogue(_catalogue_model().data_iterator)


def _parameter_file(suffix: str) -> Callable[[bytes], None]:
    def read(content: bytes) -> None:
        Config().replace(**read_parameter_file(_file(f"params.{suffix}", content)))

    return read


def _parameter_text(content: bytes) -> None:
    """NAME=VALUE, and lone surrogates for bytes that are no UTF-8."""
    name, _, value = content.decode("utf-8", "surrogateescape").partition("=")
    GRU4Rec(device="cpu").set_params(**{name: value})


def _ids(content: bytes) -> None:
    """Ids of a table: text of any code points, also lone surrogates."""
    n = len(content) // 2
    texts = [chr(c) for c in struct.unpack(f"<{n}H", content[: 2 * n])]
    table = pd.DataFrame(
        {"SessionId": np.arange(n) // 3, "ItemId": pd.Series(texts, dtype=object), "Time": 0}
    )
    for at in ("ItemId", "SessionId"):
        log = table.rename(columns={"ItemId": at, at: "ItemId"})
        with suppress(DataError):
            load_sessions(log)
        prepare(log, folder() / "prepared", overwrite=True, memory="16M")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "tsv": _log("tsv"),
    "csv": _log("csv"),
    "csv.gz": _log("csv.gz"),
    "parquet": _log("parquet"),
    "checkpoint": _load_checkpoint,
    "checkpoint-metadata": _signed_metadata,
    "live-sessions": _sessions_file,
    "live-sessions-signed": _signed_sessions,
    "store-manifest": _manifest,
    "store-manifest-signed": _signed_manifest,
    "store-array-signed": _signed_array,
    "parameters.py": _parameter_file("py"),
    "parameters.json": _parameter_file("json"),
    "parameter-text": _parameter_text,
    "ids": _ids,
    "arrays": call_core,
}


def run(target: str, content: bytes) -> bool:
    """Whether a target accepts an input; any error but a refusal is passed on."""
    try:
        TARGETS[target](content)
    except REFUSED:
        return False
    return True
