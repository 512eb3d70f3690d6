"""The vectors of the items: as a table, and the items whose vectors are most alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name

from gru4rec_fast.checks import one_of, whole_number
from gru4rec_fast.engines import choice
from gru4rec_fast.errors import DataError
from gru4rec_fast.model.finite import require_finite
from gru4rec_fast.serving.recommend import id_list

if TYPE_CHECKING:
    from torch import Tensor

    from gru4rec_fast.model.network import Network

TABLES = ("output", "input")
MEASURES = ("cosine", "dot")


def item_vectors(network: Network, itemidmap: pd.Series[int], table: str) -> pd.DataFrame:
    """The ids in order of the item index, and the columns of their vectors.

    Raises:
        ParameterError: `table` is no entry of TABLES.
    """
    vectors = _vectors(network, table).numpy(force=True)
    columns = [f"{table}_{column}" for column in range(vectors.shape[1])]
    # A copy: whoever changes the table must not change the model.
    frame = pd.DataFrame(vectors.copy(), columns=columns)
    frame.insert(0, itemidmap.index.name or "ItemId", _ids(itemidmap), allow_duplicates=True)
    return frame


def similar_items(
    network: Network,
    itemidmap: pd.Series[int],
    item: Any,
    k: int,
    measure: str,
    table: str,
    engine: str,
) -> pd.DataFrame:
    """The k most similar items of one item, or of each of several: see `GRU4Rec.similar_items`.

    With 'cosine' a copy of the table is held meanwhile. The vector of an item that was never
    trained can be zero; its cosine with all others is 0.
    """
    k = whole_number("k", k)
    one_of("measure", measure, MEASURES)
    vectors = _vectors(network, table)
    several = not pd.api.types.is_scalar(item)
    given = id_list(item if several else [item], "item")
    asked = _indices(itemidmap, given).to(vectors.device)
    require_finite({table: vectors})
    if measure == "cosine":
        vectors = F.normalize(vectors)
    ranker = choice.ranker(engine, vectors, vectors.new_zeros(len(vectors), 1))
    # One more than k, since the item itself can be among them.
    scores, best = ranker.top_k(vectors[asked], min(k + 1, len(vectors)))
    others = best != asked[:, None]
    # Without the item itself among the best, the last of them is one too many.
    others[:, -1] &= ~others.all(dim=1)
    name = itemidmap.index.name or "ItemId"
    prefix = "Model" if name in ("Similarity", "SimilarTo") else ""
    columns: dict[Any, Any] = {
        name: _ids(itemidmap)[best[others].cpu().numpy()],
        f"{prefix}Similarity": scores[others].cpu().numpy(),
    }
    if several:
        of = given.repeat(others.sum(dim=1).cpu().numpy())
        columns = {f"{prefix}SimilarTo": of, **columns}
    return pd.DataFrame(columns)


def _vectors(network: Network, table: str) -> Tensor:
    one_of("table", table, TABLES)
    name = "Wy.weight" if table == "output" else network.spec.input_table
    return network.parameter_dict()[name].detach()


def _ids(itemidmap: pd.Series[int]) -> pd.Index[Any]:
    """The ids in order of the item index."""
    return itemidmap.index[np.argsort(itemidmap.to_numpy())]


def _indices(itemidmap: pd.Series[int], ids: pd.Index[Any]) -> Tensor:
    positions = itemidmap.index.get_indexer(ids)
    if (positions < 0).any():
        raise DataError(
            f"item is {ids[positions < 0].tolist()[0]!r}, which the model does not know; expected "
            f"an id of the training log, as {itemidmap.index[:1].tolist()[0]!r}"
        )
    return torch.from_numpy(itemidmap.to_numpy(dtype="int64")[positions])
