"""A model as a file holds it: its network and items, made of any file that `checkpoint` reads."""

from __future__ import annotations

import os
import warnings
from typing import NamedTuple

import pandas as pd

from gru4rec_fast.config import Config
from gru4rec_fast.data.data_iterator import DataIterator
from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.model.checkpoint import Checkpoint, load
from gru4rec_fast.model.network import Network
from gru4rec_fast.model.state_dict import infer_config
from gru4rec_fast.parameter import assignments


class LoadedModel(NamedTuple):
    """A network on the CPU, its items, and the file that they are from."""

    network: Network
    items: DataIterator
    saved: Checkpoint


def load_model(
    path: str | os.PathLike[str], itemidmap: pd.Series[int] | None = None, *, stacklevel: int = 2
) -> LoadedModel:
    """Read a model of `savemodel`, or a plain state_dict, which knows no item ids.

    Args:
        path: the file.
        itemidmap: the items of a state_dict, in any order; else they are known by their index.
        stacklevel: of the warning that they are.

    Raises:
        CheckpointError: no such file, or not a model that this version reads.
    """
    saved = load(path)
    config = saved.config or Config().replace(**infer_config(saved.tensors))
    n_items = len(saved.tensors["Wy.weight"])
    # In order of the index, as all that reads ids by position expects; a given map may not be.
    items = saved.itemidmap if itemidmap is None else itemidmap.sort_values()
    if items is None:
        warnings.warn(
            f"{os.fspath(path)} is a plain state_dict without item ids: items are known by "
            f"their index 0..{n_items - 1}; pass itemidmap= to give them their ids",
            stacklevel=stacklevel + 1,
        )
        items = pd.Series(range(n_items), index=pd.RangeIndex(n_items, name="ItemId"))
    if len(items) != n_items:
        raise CheckpointError(
            f"itemidmap has {len(items)} items but {os.fspath(path)} has {n_items}; pass the "
            "itemidmap of that model's training"
        )
    network = Network(config, n_items)
    try:
        network.load_state_dict(saved.model_tensors)
    except RuntimeError as error:
        mismatch = " ".join(str(error).split())
        raise CheckpointError(
            f"{os.fspath(path)}: the tensors do not fit GRU4Rec({assignments(config)}) "
            f"({mismatch}); save it again from the model that was trained"
        ) from error
    return LoadedModel(network.eval(), DataIterator(items, saved.columns, saved.support), saved)
