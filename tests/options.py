"""The options of a model, one list for every test that holds an engine to the reference."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

EMBEDDINGS: dict[str, dict[str, Any]] = {
    "shared": {},
    "separate": {"constrained_embedding": False, "embedding": 13},
    "one-hot": {"constrained_embedding": False},
}
LOSSES: dict[str, dict[str, Any]] = {
    "cross-entropy": {"loss": "cross-entropy"},
    "cross-entropy-logq": {"loss": "cross-entropy", "logq": 0.8},
    "bpr-max": {"loss": "bpr-max", "elu_param": 0.5, "bpreg": 0.7},
    "bpr-max-linear": {"loss": "bpr-max", "elu_param": 0.0, "bpreg": 1.5},
}
DROPOUTS: dict[str, dict[str, Any]] = {
    "whole": {},
    "dropout": {"dropout_p_embed": 0.3, "dropout_p_hidden": 0.2},
}
LAYERS = ((20,), (33, 20), (12, 40, 17))
SAMPLES = (0, 64)
MOMENTA = (0.0, 0.3)

EVERY_OPTION = [
    pytest.param(
        {
            **EMBEDDINGS[e],
            **LOSSES[loss],
            **DROPOUTS[d],
            "layers": layers,
            "n_sample": s,
            "momentum": m,
        },
        id=f"{e}-{loss}-{d}-{'/'.join(map(str, layers))}-{s}-{m}",
    )
    for e, loss, d, layers, s, m in itertools.product(
        EMBEDDINGS, LOSSES, DROPOUTS, LAYERS, SAMPLES, MOMENTA
    )
]
"""Arguments of Config, every combination of the above."""
