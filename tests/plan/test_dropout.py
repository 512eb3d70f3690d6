"""Dropout masks: the documented function of seed, step and site."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from gru4rec_fast._core import dropout_mask, philox4x32

ONES = 2**32 - 1


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.999])
def test_dropout_mask_is_the_documented_function(p: float) -> None:
    seed, step, site, rows, columns = 2**40 + 3, 2**33 + 5, 2, 3, 7
    mask = dropout_mask(seed, step, site, rows, columns, p)
    assert mask.dtype == np.float32
    for element in range(rows * columns):
        counter = (element // 4, step % 2**32, step >> 32, 1 + site)
        dropped = philox4x32(seed, counter)[element % 4] < round(p * 2**32)
        expected = 0 if dropped else np.float32(1 / (1 - p))
        assert mask[divmod(element, columns)] == expected


def test_dropout_keeps_its_share_and_its_sites_differ() -> None:
    a, b = (dropout_mask(1, 0, site, 500, 400, 0.3) == 0 for site in (0, 1))
    for mask in (a, b):
        assert stats.binomtest(int(mask.sum()), mask.size, 0.3).pvalue > 1e-4
    assert stats.binomtest(int((a & b).sum()), a.size, 0.09).pvalue > 1e-4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p": 1.0}, r"p is 1\.0+; expected a dropout probability"),
        ({"p": -0.1}, r"p is -0\.1"),
        ({"p": float("nan")}, "p is nan"),
        ({"site": -1}, "site is -1"),
        ({"rows": -1}, "mask is -1 x 2"),
        ({"rows": 2**40, "columns": 2**40}, r"at most 2\^34"),
    ],
)
def test_dropout_errors(change: dict[str, Any], message: str) -> None:
    arguments = {"seed": 1, "step": 0, "site": 0, "rows": 2, "columns": 2, "p": 0.5}
    with pytest.raises(ValueError, match=message):
        dropout_mask(**(arguments | change))
