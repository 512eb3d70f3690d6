"""Inverted-dropout factors from the Philox stream of `_core.dropout_mask`, element by element.

Element e = row * COLUMNS + column of site SITE is word e % 4 of Philox 4x32-10 with key = seed and
counter (e // 4, step low, step high, 1 + SITE). It is dropped where word < round(p 2^32). No mask
is stored: forward and backward draw the same factors, equal bit for bit to those of the C++ engine.
"""

from __future__ import annotations

import math

import triton
import triton.language as tl

from gru4rec_fast.spec import DropoutSite

NO_DROPOUT = DropoutSite(0, 0.0)


def dropout_constants(site: DropoutSite, suffix: str) -> dict[str, float]:
    """Compile-time constants of a site, their names ending in `suffix`.

    SITE: the site's number; THRESHOLD: words below it are dropped, 0 means no dropout; SCALE:
    factor of the elements that stay.
    """
    threshold = math.floor(site.rate * 2**32 + 0.5)
    return {
        f"SITE_{suffix}": site.number,
        f"THRESHOLD_{suffix}": threshold,
        f"SCALE_{suffix}": 1.0 / (1.0 - site.rate),
    }


@triton.jit
def dropout_factor(
    seed,
    step,
    row,
    first,
    COLUMNS: tl.constexpr,
    SITE: tl.constexpr,
    THRESHOLD: tl.constexpr,
    SCALE: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """Factors, 0 or SCALE, of the given rows (ROWS,) and of WIDTH columns from `first` on.

    `first` and WIDTH are multiples of 4. If COLUMNS is one too, four columns share a Philox block
    and draw it once; else each element draws its own block.
    """
    low = (step & 0xFFFFFFFF).to(tl.uint32)
    high = (step >> 32).to(tl.uint32)
    if COLUMNS % 4 == 0:
        group = first // 4 + tl.arange(0, WIDTH // 4)
        block = row[:, None] * (COLUMNS // 4) + group[None, :]
        w0, w1, w2, w3 = tl.philox(seed, block, low, high, 1 + SITE)
        word = tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), (ROWS, WIDTH))
    else:
        element = row[:, None] * COLUMNS + (first + tl.arange(0, WIDTH))[None, :]
        w0, w1, w2, w3 = tl.philox(seed, element // 4, low, high, 1 + SITE)
        place = element % 4
        word = tl.where(place < 2, tl.where(place == 0, w0, w1), tl.where(place == 2, w2, w3))
    return tl.where(word < THRESHOLD, 0.0, SCALE)
