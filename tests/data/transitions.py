"""What the docstring of `synthetic` says about the next item, by plain loops."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gru4rec_fast.data.synthetic import Generator


def transition_probabilities(generator: Generator) -> np.ndarray:
    """P(next | taste, current), (K, V, V)."""
    v = generator.n_items
    p = np.zeros((generator.tastes, v, v))
    for k, i in itertools.product(range(generator.tastes), range(v)):
        p[k, i] += generator.noise * generator.popularity
        for j, weight in enumerate(generator.weights):
            p[k, i, generator.successor(np.array(k), np.array(i), np.array(j))] += (
                1 - generator.noise
            ) * weight
    return p
