"""The options of a model, one list for every test that holds an engine to the reference."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from gru4rec_fast.parameter import as_text

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
CELLS: dict[str, dict[str, Any]] = {
    "gru": {},
    "gru-reset-after": {"reset": "after"},
    "gru-reset-before": {"reset": "before"},
    "lstm": {"cell": "lstm"},
    "rnn": {"cell": "rnn"},
}
ACTIVATIONS = ("tanh", "linear", "relu", "leaky-0.2", "elu-0.7", "selu-1.05-1.67")
FEED_FORWARD: dict[str, dict[str, Any]] = {
    "": {},
    "ff": {"feed_forward": (21,)},
    "ff-ff": {"feed_forward": (40, 11)},
}
LAYERS = ((20,), (33, 20), (12, 40, 17))
SAMPLES = (0, 64)
MOMENTA = (0.0, 0.3)


def network_options(number: int) -> dict[str, Any]:
    """Cell and feed-forward layers: of 15 numbers in a row each pair of them once.

    The activations differ from number to number.
    """
    cell = list(CELLS.values())[number % len(CELLS)]
    feed_forward = list(FEED_FORWARD.values())[number // len(CELLS) % len(FEED_FORWARD)]
    options = {"learning_rate": 0.05, **cell, **feed_forward}
    if cell in (CELLS["gru-reset-before"], CELLS["rnn"]):
        options["hidden_act"] = ACTIVATIONS[number // len(CELLS) % len(ACTIVATIONS)]
    if feed_forward:
        options["feed_forward_act"] = ACTIVATIONS[number % len(ACTIVATIONS)]
    if cell == CELLS["rnn"] or feed_forward:  # unbounded activations: training would be chaotic
        options["learning_rate"] = 0.01
    return options


def described(options: dict[str, Any]) -> str:
    """The values of some options, for the name of a test."""
    values = [value for name, value in options.items() if name != "learning_rate"]
    return ",".join(as_text(value) for value in values) or "gru"


def option(number: int, *names: Any) -> Any:
    """Arguments of Config; of every 16 numbers in a row, each has its own cell and so on."""
    e, d, layers, loss, s, m = names
    network = network_options(number // 16 * 7 + number % 16)
    options = {**EMBEDDINGS[e], **LOSSES[loss], **DROPOUTS[d], **network}
    options |= {"layers": layers, "n_sample": s, "momentum": m}
    sizes = "/".join(map(str, layers))
    return pytest.param(options, id=f"{e}-{loss}-{d}-{sizes}-{s}-{m}-{described(network)}")


EVERY_OPTION = [
    option(number, *names)
    for number, names in enumerate(
        itertools.product(EMBEDDINGS, DROPOUTS, LAYERS, LOSSES, SAMPLES, MOMENTA)
    )
]
"""Arguments of Config: every combination of embedding, dropout, sizes, loss, samples and momentum.

Each embedding, dropout and number of layers occurs with each cell and number of feed-forward
layers; these two are not combined with every loss.
"""
