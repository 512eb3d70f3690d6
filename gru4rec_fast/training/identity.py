"""What makes two trainings the same: only the same training may go on from a checkpoint."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gru4rec_fast.data.array_files import digest
from gru4rec_fast.data.store import StoredSessions
from gru4rec_fast.model import item_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike
    from torch import Tensor

    from gru4rec_fast.config import Config
    from gru4rec_fast.data.sessions import Sessions

LOGS = {
    "log": "the log",
    "validation": "the validation log",
    "negatives": "negatives",
    "model": "the model before",
}
"""Entries that are data: they are compared by a fingerprint, and their sizes are shown."""


def identity_of(
    config: Config,
    engine: str,
    sessions: Sessions,
    validated: Sessions | None,
    negatives: ArrayLike | None,
    **arguments: Any,
) -> dict[str, Any]:
    """JSON values that two trainings share exactly when they compute the same.

    Args:
        config: the hyper-parameters.
        engine: its name. Engines round differently.
        sessions: what is trained on.
        validated: what is validated on, or None.
        negatives: as given to `fit`, or None.
        arguments: further arguments of `fit` that the result depends on.
    """
    return {
        **config.to_dict(),
        **arguments,
        "engine": engine,
        "log": fingerprint(sessions),
        "validation": None if validated is None else fingerprint(validated),
        "negatives": None if negatives is None else _array(np.asarray(negatives)),
    }


def fingerprint_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the tensors' names and contents."""
    sha256 = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sha256.update(name.encode())
        # As bytes: NumPy has no bfloat16.
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        sha256.update(content.numpy().data)
    return sha256.hexdigest()


def differences(saved: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The entries in which two trainings differ, in words; empty if they are the same."""
    found = []
    for name in sorted({*saved, *here}):
        old, new = saved.get(name), here.get(name)
        if old == new:
            continue
        if name in LOGS:
            old, new = _sizes(old), _sizes(new)
            found.append(
                f"{LOGS[name]} has other content of the same size"
                if old == new
                else f"{LOGS[name]}: {old} there, {new} here"
            )
        else:
            found.append(f"{name} is {old!r} there, {new!r} here")
    return "; ".join(found)


def fingerprint(sessions: Sessions) -> dict[str, Any]:
    """Sizes and a checksum of sessions, the order of training and the item ids included.

    Of the digests of the arrays, which a prepared store has in its manifest.
    """
    stored = sessions.digests() if isinstance(sessions, StoredSessions) else {}
    sha256 = hashlib.sha256()
    for name in ("items", "offsets", "order"):
        array = getattr(sessions, name)
        is_stored = isinstance(sessions, StoredSessions) and sessions.arrays[name] is array
        sha256.update((stored[name] if is_stored else digest(array)).encode())
    if stored:
        ids = [value for name, value in sorted(stored.items()) if name.startswith("item_ids")]
    else:
        tensors = item_ids.as_tensors(sessions.itemidmap)
        ids = [digest(tensors[name].numpy()) for name in sorted(tensors)]
    sha256.update("".join(ids).encode())
    return {
        "events": sessions.n_events,
        "sessions": sessions.n_sessions,
        "items": sessions.n_items,
        "sha256": sha256.hexdigest(),
    }


def _array(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    rows = np.ascontiguousarray(values, dtype=np.int64)
    return {"rows": len(rows), "sha256": hashlib.sha256(rows.data).hexdigest()}


def _sizes(fingerprint: Mapping[str, Any] | None) -> str:
    if fingerprint is None:
        return "none"
    return ", ".join(f"{n} {what}" for what, n in fingerprint.items() if what != "sha256")
