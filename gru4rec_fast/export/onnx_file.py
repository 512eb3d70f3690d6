"""A trained network as one ONNX file, which holds the item ids too.

The metadata of the file, which ONNX Runtime gives as `get_modelmeta().custom_metadata_map`:
`item_ids`, a JSON list of the ids in order of the item index, and `item_key`, the name of the ids'
column in the training log.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from gru4rec_fast.checks import whole_number
from gru4rec_fast.errors import CheckpointError
from gru4rec_fast.model.atomic_file import written_aside
from gru4rec_fast.model.checkpoint import file_path, unwritable
from gru4rec_fast.model.finite import require_finite
from gru4rec_fast.model.item_ids import ordered_ids

if TYPE_CHECKING:
    import os

    import pandas as pd

    from gru4rec_fast.model.network import Network

OPSET, IR_VERSION = 17, 8
"""Of 2022: every ONNX Runtime since 1.12 reads them."""
LARGEST = 2**31 - 2**20
"""Bytes of a protobuf message, with a margin for what is beside the arrays."""


def export_onnx(
    network: Network, itemidmap: pd.Series[int], path: str | os.PathLike[str], k: int | None
) -> None:
    """Write the serving step (see `serving_step`) of a network, complete or not at all.

    Raises:
        ImportError: onnx is not installed; the message names the extra.
        ParameterError: k is neither None nor a whole number of at least 1.
        ArithmeticError: a parameter is NaN or infinite.
        CheckpointError: the file cannot be written, or would be larger than an ONNX file can be.
    """
    try:
        import onnx
        from onnx import helper, numpy_helper

        from gru4rec_fast.export.serving_step import serving_step
    except ImportError as error:
        raise ImportError("the export needs onnx: pip install 'gru4rec-fast[export]'") from error
    if k is not None:
        k = min(whole_number("k", k), network.n_items)
    parameters = network.parameter_dict()
    require_finite(parameters)
    weights = {name: p.float().numpy(force=True) for name, p in parameters.items()}
    graph, arrays = serving_step(network.spec, weights, k)
    metadata = {
        "item_ids": json.dumps(ordered_ids(itemidmap).tolist()),
        "item_key": str(itemidmap.index.name or "ItemId"),
    }
    size = sum(array.nbytes for array in arrays.values()) + sum(map(len, metadata.values()))
    if size > LARGEST:
        raise CheckpointError(
            f"the model needs {size:,} bytes; expected at most {LARGEST:,}, which an ONNX file can "
            "hold: train with fewer items or smaller layers"
        )
    for name, array in arrays.items():
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph, producer_name="gru4rec_fast", opset_imports=opsets, ir_version=IR_VERSION
    )
    helper.set_model_props(model, metadata)
    target = file_path(path).resolve()
    try:
        with written_aside(target) as aside:
            onnx.save_model(model, aside)
    except OSError as error:
        raise unwritable(target, error) from error
