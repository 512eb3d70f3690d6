"""The computed order of an epoch of many sessions, in plain Python.

A Feistel network on b bits is a permutation of 0..2^b-1 whatever its round function (Luby and
Rackoff 1988); applied until the result is below n, it is one of 0..n-1 (cycle walking, Black and
Rogaway 2002).
"""

from __future__ import annotations

from gru4rec_fast._core import philox4x32

ROUNDS = 8
STREAM = 0xF0000000


def permuted_session(place: int, n: int, seed: int, epoch: int) -> int:
    """The session at a place of the order, both 0..n-1."""
    bits = max(2, (n - 1).bit_length())
    high_bits = bits // 2
    low_bits = bits - high_bits
    value: int = place
    while True:
        high, low = value >> low_bits, value & (2**low_bits - 1)
        for step in range(ROUNDS):
            counter = (
                low if step % 2 == 0 else high,
                epoch & 0xFFFFFFFF,
                epoch >> 32,
                STREAM + step,
            )
            word: int = philox4x32(seed, counter)[0]
            if step % 2 == 0:
                high ^= word & (2**high_bits - 1)
            else:
                low ^= word & (2**low_bits - 1)
        value = high << low_bits | low
        if value < n:
            return value
