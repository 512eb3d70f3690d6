"""Live sessions in one safetensors file, written complete or not at all.

The header's metadata holds `format`, `format_version`, a checksum (`sha256`) and under `meta` a
JSON object: `model` (fingerprint of the model), `last` (kept items of a session) and `saved_at`
(seconds since 1970). Tensors, with a row for each of n sessions, the least recently used first:

    values.0, ...   (n, width) states of the layers, and features after feed-forward layers
    items           (n, L) int64 last items, oldest first, then -1; positions in `item_ids`
    events          (n,) int64 events so far
    age             (n,) float64 seconds since the last use
    session_ids     uint8, a JSON list as UTF-8
    item_ids        uint8, likewise: the item ids that `items` counts
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.model import checksum
from gru4rec_fast.model.checkpoint import write_tensors

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    from gru4rec_fast.serving.catalogue import Catalogue
    from gru4rec_fast.serving.session_table import SessionTable

FORMAT = "gru4rec-fast-sessions"
FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class SavedSessions:
    """What a file holds."""

    path: str
    model: str
    last: int
    saved_at: float
    ids: list[Hashable]
    values: list[NDArray[Any]]
    items: NDArray[np.int64]
    """(n, L) items of this model, -1 behind the last and for those that it does not know."""
    events: NDArray[np.int64]
    age: NDArray[np.float64]

    def require(self, model: str, last: int) -> None:
        """Refuse states that do not belong to this model.

        Raises:
            CheckpointError: they are another model's, or were kept with more or fewer items.
        """
        if self.model != model:
            raise CheckpointError(
                f"{self.path}: the states were made by a model of other weights or items; pass "
                "replay=True to make them anew from the sessions' last items"
            )
        if self.last != last:
            raise CheckpointError(
                f"{self.path}: the sessions keep last={self.last} items; make gru.live(last="
                f"{self.last}) to go on with them, or pass replay=True"
            )

    def enter(self, table: SessionTable, now: float, *, states: bool) -> NDArray[np.int64]:
        """Put the sessions into an empty table, with or without their states; returns their slots.

        Without states the known items of a session are its events.

        Raises:
            CheckpointError: the states are of another shape than the table's.
        """
        waited = max(0.0, time.time() - self.saved_at)
        first = max(0, len(self.ids) - table.capacity)
        slots = []
        shapes = [each.shape[1:] for each in self.values]
        if states and shapes != [mine.shape[1:] for mine in table.values]:
            raise CheckpointError(
                f"{self.path}: its states have the shapes {shapes}: save the sessions again"
            )
        for row in range(first, len(self.ids)):
            kept = self.items[row][self.items[row] >= 0]
            events = int(self.events[row]) if states else len(kept)
            if events == 0:
                continue
            slot = table.claim(self.ids[row], now)
            slots.append(slot)
            kept = kept[-table.last :]
            where = np.arange(events - len(kept), events) if states else np.arange(len(kept))
            table.items[slot, where % table.last] = kept
            table.events[slot] = events if states else len(kept)
            table.used[slot] = now - waited - self.age[row]
            if states:
                for mine, saved in zip(table.values, self.values, strict=True):
                    mine[slot] = saved[row]
        return np.array(slots, dtype=np.int64)


def write_sessions(
    path: str | os.PathLike[str],
    table: SessionTable,
    catalogue: Catalogue,
    model: str,
    now: float,
) -> None:
    """Write the sessions of a table.

    Raises:
        CheckpointError: it cannot be written; nothing is left behind then.
    """
    slots = table.slots()
    items = np.full((len(slots), table.last), -1, dtype=np.int64)
    for row, slot in zip(items, slots, strict=True):
        kept = table.last_items(int(slot))
        row[: len(kept)] = kept
    used, where = np.unique(items[items >= 0], return_inverse=True)
    items[items >= 0] = where
    item_ids = catalogue.ids(used).tolist()
    session_ids = [int(i) if isinstance(i, np.integer) else i for i in table.ids()]
    content = {
        "items": torch.from_numpy(items),
        "events": torch.from_numpy(table.events[slots]),
        "age": torch.from_numpy(now - table.used[slots]),
        "session_ids": _json_tensor(session_ids),
        "item_ids": _json_tensor(item_ids),
    }
    for number, values in enumerate(table.values):
        content[f"values.{number}"] = torch.from_numpy(values[slots])
    meta = {"model": model, "last": table.last, "saved_at": time.time()}
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "meta": json.dumps(meta),
    }
    write_tensors(Path(path), content, metadata)


def read_sessions(path: str | os.PathLike[str], catalogue: Catalogue) -> SavedSessions:
    """Read a file of `write_sessions`.

    Raises:
        CheckpointError: no such file, or damaged or foreign content.
    """
    name = os.fspath(path)
    if not Path(path).is_file():
        raise CheckpointError(f"{name}: no such file: expected one of LiveSessions.save")
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise CheckpointError(
                    f"{name}: holds no live sessions: expected a file of LiveSessions.save"
                )
            # Copies: the file may be replaced while the sessions are in use.
            tensors = {n: file.get_tensor(n).clone() for n in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{name}: is damaged ({error}): save the sessions again") from error
    if metadata.get("format_version") != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{name}: is of format {metadata.get('format_version')}, but this version reads "
            f"{FORMAT_VERSION}: upgrade with pip install -U gru4rec-fast"
        )
    if metadata.get(checksum.KEY) != checksum.checksum(tensors, metadata):
        raise CheckpointError(
            f"{name}: is damaged (its content differs from its checksum): save the sessions again"
        )
    try:
        return _checked(name, json.loads(metadata["meta"]), tensors, catalogue)
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        # A right checksum does not say who wrote the file.
        raise CheckpointError(
            f"{name}: holds no live sessions as this version writes them ({error}): save the "
            "sessions again"
        ) from error


def _checked(
    name: str, meta: Any, tensors: dict[str, torch.Tensor], catalogue: Catalogue
) -> SavedSessions:
    """The sessions of a file, whose values need not fit each other."""
    ids, item_ids = (_from_json_tensor(tensors[key]) for key in ("session_ids", "item_ids"))
    n = len(ids)
    if not all(isinstance(each, int | str) for each in ids) or len(set(ids)) < n:
        raise ValueError("session_ids are not different numbers or texts")
    if not isinstance(meta["model"], str) or not float(meta["saved_at"]) < np.inf:
        raise ValueError("its metadata name no model, or no time")
    numbers = sorted(int(key.removeprefix("values.")) for key in tensors if "values." in key)
    values = [tensors[f"values.{number}"].numpy() for number in numbers]
    items, events, age = (tensors[key].numpy() for key in ("items", "events", "age"))
    for key, array, dtype, shape in (
        ("items", items, np.int64, (n, meta["last"])),
        ("events", events, np.int64, (n,)),
        ("age", age, np.float64, (n,)),
        *(("values", each, np.floating, (n, *each.shape[1:2])) for each in values),
    ):
        if array.shape != shape or not np.issubdtype(array.dtype, dtype):
            raise ValueError(f"{key} is {array.dtype} of shape {array.shape}, expected {shape}")
    if n and (items.min() < -1 or items.max() >= len(item_ids)):
        raise ValueError(f"items holds numbers outside -1..{len(item_ids) - 1}")
    if n and (events < (items >= 0).sum(axis=1)).any():
        raise ValueError("events are fewer than the items of their session")
    if not np.isfinite(age).all():
        raise ValueError("an age is no number")
    # The last place, -1, stands for no item.
    known = np.append(catalogue.find(item_ids), -1)
    return SavedSessions(
        name, meta["model"], meta["last"], meta["saved_at"], ids, values, known[items], events, age
    )


def _json_tensor(values: list[Any]) -> torch.Tensor:
    text = json.dumps(values).encode()
    return torch.from_numpy(np.frombuffer(bytearray(text), dtype=np.uint8))


def _from_json_tensor(tensor: torch.Tensor) -> list[Any]:
    found = json.loads(tensor.numpy().tobytes())
    if not isinstance(found, list):
        raise TypeError(f"a list of ids is a {type(found).__name__}")
    return found
