"""The options of a model, one list for every test that holds an engine to the reference.

Not every combination: `EVERY_OPTION` has each loss and activation with each embedding, each
optimiser with each embedding, and each structure with each embedding. What a case leaves open is
drawn, with a fixed seed.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Options = dict[str, Any]

EMBEDDINGS: dict[str, Options] = {
    "shared": {},
    "separate": {"constrained_embedding": False, "embedding": 13},
    "one-hot": {"constrained_embedding": False},
}
ACTIVATIONS = ("linear", "relu", "tanh", "leaky-0.2", "elu-0.5", "selu-1.05-1.67")
CROSS_ENTROPIES: dict[str, Options] = {
    "cross-entropy": {"loss": "cross-entropy"},
    "cross-entropy-logq": {"loss": "cross-entropy", "logq": 0.8},
    "cross-entropy-smooth": {"loss": "cross-entropy", "smoothing": 0.2},
    "cross-entropy-smooth-logq": {"loss": "cross-entropy", "smoothing": 0.1, "logq": 0.8},
}
RANKING_LOSSES: dict[str, Options] = {
    "bpr-max": {"loss": "bpr-max", "elu_param": 0.5, "bpreg": 0.7},
    "bpr-max-linear": {"loss": "bpr-max", "elu_param": 0.0, "bpreg": 1.5},
    "bpr": {"loss": "bpr"},
    "top1": {"loss": "top1"},
    "top1-max": {"loss": "top1-max"},
}
LOSSES = CROSS_ENTROPIES | RANKING_LOSSES
# Adagrad's first step on a weight is the learning rate with the sign of the gradient, also where
# the gradient is only rounding. Activations that are zero or kinked have many of these.
ACTIVATED = {
    f"{loss}-{act}": {"loss": loss, "final_act": act}
    | ({"learning_rate": 0.01} if act.startswith(("relu", "leaky")) else {})
    for loss, act in itertools.product(("bpr-max", "bpr", "top1", "top1-max"), ACTIVATIONS)
}
OPTIMISERS: dict[str, Options] = {
    "sgd": {"adapt": None},
    "adagrad": {"adapt": "adagrad"},
    "adagrad-rowwise": {"adapt": "adagrad-rowwise"},
    "rmsprop": {"adapt": "rmsprop", "adapt_params": 0.8, "learning_rate": 0.01},
    "adadelta": {"adapt": "adadelta"},
    "adam": {"adapt": "adam", "learning_rate": 0.01},
}
CELLS: dict[str, Options] = {
    "gru": {},
    "gru-reset-after": {"reset": "after"},
    "gru-reset-before": {"reset": "before"},
    "lstm": {"cell": "lstm"},
    "rnn": {"cell": "rnn"},
}
FEED_FORWARD: dict[str, Options] = {
    "": {},
    "ff": {"feed_forward": (21,)},
    "ff-ff": {"feed_forward": (40, 11)},
}
ACTIVATED_FEED_FORWARD: dict[str, Options] = {
    f"{name}-{act}": {**layers, "feed_forward_act": act}
    for name, layers in FEED_FORWARD.items()
    for act in (ACTIVATIONS if name else ("tanh",))
}
CAREFUL: dict[str, Options] = {"0.01": {"learning_rate": 0.01}}
"""Unbounded activations make training chaotic at the usual learning rate."""
STEPS: dict[str, Options] = {
    "plain": {},
    "momentum": {"momentum": 0.3},
    "l2": {"lmbd": 0.01},
    "momentum-l2": {"momentum": 0.3, "lmbd": 0.01},
}
SCHEDULE: Options = {"lr_schedule": "cosine", "lr_final": 0.1, "lr_warmup": 0.2, "lr_decay": 0.9}
# Gradient norms in the tests are about 0.1 for bpr-max and top1, 0.5 for cross-entropy, 15 for bpr.
CAPS: dict[str, Options] = {
    "free": {},
    "cap-0.1": {"grad_cap": 0.1},
    "cap-0.5": {"grad_cap": 0.5},
}
DROPOUTS: dict[str, Options] = {
    "whole": {},
    "dropout": {"dropout_p_embed": 0.3, "dropout_p_hidden": 0.2},
}
LAYERS: dict[str, Options] = {
    "/".join(map(str, layers)): {"layers": layers} for layers in ((20,), (33, 20), (12, 40, 17))
}
SAMPLES: dict[str, Options] = {str(n): {"n_sample": n} for n in (0, 64)}


def combined(
    lists: Iterable[dict[str, Options]], others: Iterable[dict[str, Options]]
) -> Iterator[tuple[str, Options]]:
    """Names and options: every combination of the lists, with one of each of the others."""
    draw = random.Random(0)
    others = list(others)
    for chosen in itertools.product(*(options.items() for options in lists)):
        parts = [*chosen, *(draw.choice(list(options.items())) for options in others)]
        merged = {key: value for _, part in parts for key, value in part.items()}
        yield "-".join(name for name, _ in parts), merged


EVERY_OPTION = [
    pytest.param(options, id=name)
    for name, options in itertools.chain(
        combined((EMBEDDINGS, CROSS_ENTROPIES | ACTIVATED), (DROPOUTS, LAYERS, SAMPLES, STEPS)),
        combined((EMBEDDINGS, OPTIMISERS, STEPS), (CAPS, LOSSES, DROPOUTS, LAYERS, SAMPLES)),
        combined(
            (EMBEDDINGS, LAYERS, DROPOUTS, CELLS),
            (LOSSES, SAMPLES, STEPS, CAPS, ACTIVATED_FEED_FORWARD, CAREFUL),
        ),
    )
]
"""Arguments of Config."""
