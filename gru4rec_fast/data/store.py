"""A prepared log on the disk: a folder of arrays and a manifest (docs/DATA.md describes the files).

The manifest has the SHA-256 of each array, and one of itself. Opening a store checks the manifest,
the size and header of each file, and the content of arrays as far as `CHECKED_AT_OPENING` goes;
`verify` checks all content. What is not checked cannot crash the process: indices are compared with
their ranges where they are used.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from gru4rec_fast.data.array_files import digest, open_array
from gru4rec_fast.data.items import numbered_items
from gru4rec_fast.data.sessions import Sessions
from gru4rec_fast.errors import DataError

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

MANIFEST = "manifest.json"
FORMAT = "gru4rec-fast store"
VERSION = 1
CHECKED_AT_OPENING = 2**25
"""Bytes, the smallest arrays first: about 30 ms."""

ARRAYS = {
    "items": "<i4",
    "offsets": "<i8",
    "order": "<i8",
    "first_rows": "<i8",
    "support": "<i8",
}
"""Arrays of every store -> their types; those of ids depend on the kind of ids."""

ID_ARRAYS = {
    f"{kind}_ids{part}": dtype
    for kind in ("item", "session")
    for part, dtype in (("", "<i8"), (".offsets", "<i8"), (".bytes", "|u1"))
}
"""Those of ids: integers, or the UTF-8 of texts and where each begins."""


class StoredSessions(Sessions):
    """The sessions of a store. Large arrays are memory maps, and ids are made when asked for."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], *, time_sort: bool) -> None:
        self._set(folder=folder, manifest=manifest, columns=dict(manifest["columns"]))
        self._require_shapes()
        self._set(arrays={name: self._open(name) for name in manifest["arrays"]})
        for name in ("items", "offsets", "support"):
            self._set(**{name: self.arrays[name]})
        order = (
            self.arrays["order"]
            if time_sort
            else np.argsort(self.arrays["first_rows"], kind="stable")
        )
        self._set(order=order, dropped_events=0)

    in_memory: ClassVar[bool] = False
    folder: Path
    manifest: Mapping[str, Any]
    arrays: dict[str, NDArray[Any]]

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)  # The class is frozen.

    def _open(self, name: str) -> NDArray[Any]:
        entry = self.manifest["arrays"][name]
        path = self.folder / f"{name}.npy"
        # PyTorch warns of arrays that it may not write to.
        return open_array(path, entry["dtype"], entry["length"], private=name == "support")

    def _require_shapes(self) -> None:
        n_events, n, n_items = (
            self.manifest[name] for name in ("n_events", "n_sessions", "n_items")
        )
        lengths = {
            "items": n_events,
            "offsets": n + 1,
            "order": n,
            "first_rows": n,
            "support": n_items,
        }
        for name, length in lengths.items():
            found = self.manifest["arrays"].get(name, {})
            if (found.get("dtype"), found.get("length")) != (ARRAYS[name], length):
                raise DataError(
                    f"{self.folder}: array {name!r} is {found or 'missing'}: expected "
                    f"{length} of {ARRAYS[name]}; prepare the store again"
                )

    @cached_property
    def itemidmap(self) -> pd.Series[int]:
        """Made when first asked for."""
        return numbered_items(self._ids("item_ids"), self.columns["item_key"] or "ItemId")

    @cached_property
    def session_ids(self) -> pd.Index[Any]:
        """Made when first asked for."""
        ids: pd.Index[Any] = pd.Index(self._ids("session_ids"), name=self.columns["session_key"])
        return ids

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The store's own rows, which are its events, not those of the log it was made from."""
        return np.arange(self.n_events)

    def _ids(self, name: str) -> NDArray[Any]:
        if name in self.arrays:
            return self.arrays[name]
        offsets, text = self.arrays[f"{name}.offsets"], self.arrays[f"{name}.bytes"].tobytes()
        if len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != len(text):
            raise DataError(
                f"{self.folder}: the offsets of {name!r} do not fit their text; prepare the store "
                "again"
            )
        ends = offsets.tolist()
        try:
            texts = [text[a:b].decode() for a, b in pairwise(ends)]
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.folder}: {name!r} is damaged ({error}); prepare the store again"
            ) from error
        return np.array(texts, dtype=object)

    @property
    def n_sessions(self) -> int:
        """n, those of one event included."""
        return int(self.manifest["n_sessions"])

    @property
    def n_items(self) -> int:
        """V."""
        return int(self.manifest["n_items"])

    @property
    def n_single(self) -> int:
        """Sessions of one event, which hold no pair."""
        return int(self.manifest["n_single"])

    def digests(self) -> dict[str, str]:
        """The SHA-256 of each array, as in the manifest."""
        return {name: entry["sha256"] for name, entry in self.manifest["arrays"].items()}


def open_store(path: str | os.PathLike[str], *, time_sort: bool = True) -> StoredSessions:
    """The sessions of a prepared store.

    Args:
        path: its folder.
        time_sort: whether an epoch takes sessions by the time of their first event, else in the
            order in which the log mentions them first.

    Raises:
        DataError: no store, a torn or damaged one, or one of a newer version.
    """
    folder = Path(path)
    manifest = _manifest(folder)
    _require_fields(folder, manifest)
    sessions = StoredSessions(folder, manifest, time_sort=time_sort)
    budget = CHECKED_AT_OPENING
    for name in sorted(sessions.arrays, key=lambda name: sessions.arrays[name].nbytes):
        budget -= sessions.arrays[name].nbytes
        if budget < 0:
            break
        _check(sessions, name)
    offsets = sessions.offsets
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != sessions.n_events:
        raise DataError(
            f"{folder / 'offsets.npy'}: is damaged: it does not go from 0 to {sessions.n_events}; "
            "prepare the store again"
        )
    return sessions


def verify(path: str | os.PathLike[str]) -> StoredSessions:
    """Compare all arrays of a store with their checksums; the opened store comes back.

    Raises:
        DataError: as for `open_store`; the message names the file.
    """
    sessions = open_store(path)
    for name in sessions.arrays:
        _check(sessions, name)
    return sessions


def write_manifest(folder: Path, values: dict[str, Any]) -> None:
    """Write the manifest of a folder whose arrays are complete."""
    text = json.dumps(values | {"sha256": _digest(values)}, indent=1, sort_keys=True)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        within = sorted(p.parent.name for p in folder.glob(f"*/{MANIFEST}"))
        raise DataError(
            f"{folder}: is a folder of several stores: pass one of {', '.join(within)} in it"
            if within
            else f"{folder}: is a folder without {MANIFEST}, so no prepared store or a torn one: "
            "expected a file, or a store; make one with gru4rec-fast prepare LOG -o STORE"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{folder / MANIFEST}: cannot be read ({error}); make it readable, or prepare the "
            "store again"
        ) from error
    try:
        values = json.loads(text)
        found = values.pop("sha256")
        if (
            found != _digest(values)
            or text != json.dumps(values | {"sha256": found}, indent=1, sort_keys=True) + "\n"
        ):
            raise ValueError("its checksum is wrong")
    except (ValueError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{folder / MANIFEST}: is damaged ({error}): prepare the store again"
        ) from error
    if values.get("format") != FORMAT or values.get("version") != VERSION:
        raise DataError(
            f"{folder}: has format {values.get('format')!r}, version {values.get('version')!r}: "
            f"expected {FORMAT!r}, version {VERSION}; prepare it again with this gru4rec-fast"
        )
    return dict(values)


def _require_fields(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse a manifest whose fields are missing or of a wrong kind: anybody can sign one.

    Raises:
        DataError: which field.
    """
    counts = [manifest.get(name) for name in ("n_events", "n_sessions", "n_items", "n_single")]
    arrays, columns = manifest.get("arrays"), manifest.get("columns")
    wrong = None
    if not all(type(count) is int and 0 <= count < 2**40 for count in counts):
        wrong = f"its counts are {counts}"
    elif not isinstance(columns, dict) or not all(
        isinstance(columns.get(key), str) for key in ("item_key", "session_key")
    ):
        wrong = f"its columns are {columns}"
    elif not isinstance(arrays, dict):
        wrong = f"its arrays are {arrays}"
    else:
        known = {**ARRAYS, **ID_ARRAYS}
        for name, entry in arrays.items():
            fields = entry if isinstance(entry, dict) else {}
            length, sha256 = fields.get("length"), fields.get("sha256")
            if (
                fields.get("dtype") != known.get(name)
                or name not in known
                or not (type(length) is int and 0 <= length < 2**40 and isinstance(sha256, str))
            ):
                wrong = f"array {name!r} is {entry}"
        for kind in ("item_ids", "session_ids"):
            if kind not in arrays and not {f"{kind}.offsets", f"{kind}.bytes"} <= set(arrays):
                wrong = f"it has no {kind}"
    if wrong:
        raise DataError(f"{folder / MANIFEST}: is damaged ({wrong}): prepare the store again")


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _check(sessions: StoredSessions, name: str) -> None:
    if digest(sessions.arrays[name]) != sessions.digests()[name]:
        raise DataError(
            f"{sessions.folder / f'{name}.npy'}: is damaged (its checksum is wrong): prepare the "
            "store again"
        )
