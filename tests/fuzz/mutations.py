"""Damage to a byte string, the same for the same seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

LONGEST = 2**14
EDGES = (b"\0", b"\xff", b"\n", b'"', b"{", b"-1", b"1e999", b"NaN", b"\xed\xa0\x80", b"\x7f" * 8)


def damaged(content: bytes, other: bytes, random_: random.Random) -> bytes:
    """The content after one to four changes; `other` is a second input to take parts of."""
    data = bytearray(content)
    for _ in range(random_.choice((1, 1, 1, 2, 4))):
        at = random_.randrange(len(data) + 1)
        # Formats keep what matters most at their ends.
        if random_.random() < 0.3:
            at = max(0, len(data) - random_.randrange(1, 600))
        kind = random_.randrange(8)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << random_.randrange(8)
        elif kind == 1 and data:
            data[at % len(data)] = random_.randrange(256)
        elif kind == 2:
            data[at : at + random_.choice((1, 4, 30))] = b""
        elif kind == 3:
            data[at:at] = random_.choice(EDGES)
        elif kind == 4:
            data[at : at + 4] = random_.choice(EDGES)
        elif kind == 5:
            data[at:at] = data[at : at + random_.choice((1, 8, 100))]
        elif kind == 6:
            begin = random_.randrange(len(other) + 1)
            data[at : at + 16] = other[begin : begin + 16]
        elif random_.random() < 0.3:
            del data[at:]
    return bytes(data[:LONGEST])
