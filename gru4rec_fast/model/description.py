"""What a model file holds, in words and as JSON."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4rec_fast.config import Config
from gru4rec_fast.parameter import as_text

if TYPE_CHECKING:
    from gru4rec_fast.model.loaded_model import LoadedModel


def describe(path: str | os.PathLike[str], loaded: LoadedModel) -> dict[str, Any]:
    """JSON values: file, hyper-parameters, sizes, tensors, items, columns, training.

    Sizes are in bytes, `numbers` counts those of the model alone.
    """
    network, items, saved = loaded
    tensors = network.parameter_dict()
    ids = items.itemidmap.sort_values().index
    history = saved.extra.get("history", [])
    return {
        "file": {
            "path": os.fspath(path),
            "bytes": Path(path).stat().st_size,
            "kind": "gru4rec-fast model" if saved.config is not None else "plain state_dict",
            "checksum": "verified" if saved.verified else "none",
        },
        "parameters": network.config.to_dict(),
        "cells": list(network.config.cells),
        "tensors": {name: list(tensor.shape) for name, tensor in tensors.items()},
        "numbers": sum(tensor.numel() for tensor in tensors.values()),
        "bytes": sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()),
        "items": {
            "count": len(ids),
            "type": "integer" if ids.inferred_type == "integer" else "text",
            "first": ids[:3].tolist(),
        },
        "columns": items.columns,
        "training": {
            "epochs": history[-1]["epoch"] if history else None,
            "last": history[-1] if history else None,
            "can_be_updated": "update" in saved.extra,
        },
    }


def as_lines(about: dict[str, Any]) -> str:
    """The description as text."""
    file, items, training = about["file"], about["items"], about["training"]
    defaults = Config().to_dict()
    changed = {n: v for n, v in about["parameters"].items() if v != defaults[n]}
    settings = [f"  {name} = {as_text(value)}" for name, value in changed.items()]
    columns = ", ".join(
        f"{argument.removesuffix('_key')} {name!r}" for argument, name in about["columns"].items()
    )
    rows = {
        "file": f"{file['path']} ({file['kind']}, {_size(file['bytes'])}, checksum "
        f"{file['checksum']})",
        "items": f"{items['count']:,}, {items['type']} ids, as {items['first'][0]!r}",
        "columns": columns or "not known",
        "network": f"{about['numbers']:,} numbers ({_size(about['bytes'])}); cells: "
        f"{', '.join(about['cells'])}",
        "training": _training(training),
        **{name: str(value) for name, value in about.get("machine", {}).items()},
    }
    table = [f"{name + ':':<16} {value}" for name, value in rows.items()]
    shapes = [f"  {n:<18} {' x '.join(map(str, s))}" for n, s in about["tensors"].items()]
    unchanged = len(about["parameters"]) - len(changed)
    return "\n".join(
        [
            *table,
            "parameters:",
            *settings,
            f"  {unchanged} more at their defaults (--json lists all)",
            "tensors:",
            *shapes,
        ]
    )


def _training(training: dict[str, Any]) -> str:
    if training["epochs"] is None:
        text = "not known"
    else:
        last = training["last"]
        figures = "".join(f", {n} {v:.4f}" for n, v in last["validation"].items())
        text = f"{training['epochs']} epochs, last loss {last['loss']:.6f}{figures}"
    kept = "kept" if training["can_be_updated"] else "not kept"
    return f"{text}; optimiser state for partial_fit {kept}"


def _size(n_bytes: int) -> str:
    size = float(n_bytes)
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.4g} {unit}"
        size /= 1000
    return f"{size:.4g} GB"
