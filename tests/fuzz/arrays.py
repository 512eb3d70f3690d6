"""The compiled module with arrays and sizes that are made from bytes."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gru4rec_fast import _core
from gru4rec_fast.config import Config
from gru4rec_fast.spec import NetworkSpec

if TYPE_CHECKING:
    from collections.abc import Callable

V = 12
"""Items of the network that takes blocks."""
REFUSED = (ValueError, IndexError, OverflowError, MemoryError, RuntimeError)


class Bytes:
    """Takes numbers and arrays from the front of a byte string, zeros when it is used up."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def _take(self, n: int) -> bytes:
        taken = self._content[self._at : self._at + n].ljust(n, b"\0")
        self._at += n
        return taken

    def byte(self) -> int:
        """0..255."""
        return self._take(1)[0]

    def number(self) -> int:
        """Mostly small, sometimes anything of int64."""
        kind, value = self.byte(), self.byte()
        if kind < 224:
            return value % 24 - 4
        large = int(np.frombuffer(self._take(8), dtype=np.int64)[0])
        return large % 4096 if 0 <= large < 2**40 else large  # Those between just take memory.

    def array(self, dtype: Any, *shape: int) -> Any:
        """Values of a byte each, and one value in sixteen of the whole type."""
        size = int(np.prod(shape))
        values = np.frombuffer(self._take(size), dtype=np.uint8).astype(np.int64) % 20 - 3
        if np.issubdtype(dtype, np.floating):
            return (values / 4).astype(dtype).reshape(shape)
        info = np.iinfo(dtype)
        if info.min == 0:
            values = np.abs(values)
        elif self.byte() > 192:
            values[:1] = (info.min, info.max)[self.byte() % 2]
        return values.astype(dtype).reshape(shape)


def _lanes(b: Bytes) -> None:
    n = b.byte() % 8
    items = b.array(np.int32, b.byte() % 24)
    offsets = np.append(0, np.cumsum(b.array(np.int64, n) % 5)) if b.byte() % 2 else (
        b.array(np.int64, n + 1)
    )  # fmt: skip
    if b.byte() % 4 and len(offsets):
        offsets[-1], offsets[0] = len(items), 0
    order: Any = b.array(np.int64, b.byte() % 12)
    if b.byte() % 3 == 0:
        order = _core.SessionPermutation(b.byte() % 12, 3, 1)
    scheduler = _core.LaneScheduler(items, offsets, order, b.number(), b.number())
    for _ in range(4):
        try:
            block = scheduler.plan(min(b.number(), 50))
        except ValueError:  # and go on, as nobody should
            continue
        negatives = b.array(np.int32, len(block.live), b.byte() % 4)
        _core.merge_rows(block.inputs, block.targets, block.live, negatives)


def _store(b: Bytes) -> None:
    n = b.byte() % 24
    store = _core.SessionStore(
        b.array(np.int64, n) % 4 if b.byte() % 2 else b.array(np.int64, n),
        abs(b.array(np.int32, n)) if b.byte() % 2 else b.array(np.int32, n),
        b.array(np.int64 if b.byte() % 2 else np.float64, n),
        b.number(),
    )
    store.order_by_time()
    store.order_by_appearance()


def _merge(b: Bytes) -> None:
    t, lanes, samples = b.byte() % 4, b.byte() % 5, b.byte() % 6
    arrays = [b.array(np.int32, t, n) for n in (lanes, lanes, samples)]
    _core.merge_rows(arrays[0], arrays[1], b.array(np.int32, t), arrays[2])


def _numberings(b: Bytes) -> None:
    numbering = _core.TextNumbering()
    for _ in range(3):
        numbering.number(b.array(np.int64, b.byte() % 8), b.array(np.uint8, b.byte() % 24))
    numbering.sorted()
    _core.IntegerNumbering().number(b.array(np.int64, 20))


def _partitions(b: Bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        partitions = _core.EventPartitions(name, abs(b.number()) % 4096)
        for _ in range(b.byte() % 4):
            n = b.byte() % 40
            times = b.array(np.int64, n)
            partitions.add(b.array(np.int64, n), abs(b.array(np.int32, n)), times)
        if b.byte() % 4 == 0:
            partitions.relabel(b.array(np.int64, 30))
        while len(partitions.next()[0]):
            pass


def _fields(b: Bytes) -> None:
    text = b"".join(b'0123456789,,\n\r.-"\0'[k % 18 : k % 18 + 1] for k in b.array(np.uint8, 40))
    columns = [b.number() for _ in range(b.byte() % 3)]
    separator = ",\t;\r"[b.byte() % 4]
    whole = np.frombuffer(text, dtype=np.uint8)
    _core.read_integer_fields(whole, separator, columns, b.number(), min(b.number(), 1000))


def _block(b: Bytes) -> None:
    t, lanes, width = b.byte() % 4, b.byte() % 5, b.byte() % 8
    block = SimpleNamespace(
        first_step=0,
        first_lane=b.number(),
        live=b.array(np.int32, t),
        source=b.array(np.int32, t, lanes),
        restarts=abs(b.array(np.uint8, t, lanes)) % 2,
        rows=b.array(np.int32, t, width),
        target_count=b.array(np.int32, t, width),
        sample_count=b.array(np.int32, t, width),
        target_row=b.array(np.int32, t, lanes),
        input_row=b.array(np.int32, t, lanes),
        scored=b.array(np.int32, t),
        touched=b.array(np.int32, t),
    )
    _trainer(b.number() if b.byte() > 250 else 4).train_block(cast("Any", block), 1)


def _trainer(batch_size: int) -> Any:
    spec = NetworkSpec.of(Config().replace(layers=(5,)), V)
    shapes = spec.parameters.items()
    parameters, accumulators, momenta = (
        {name: np.full(shape, 0.1, np.float32) for name, shape in shapes} for _ in range(3)
    )
    return _core.Trainer(
        spec=spec,
        parameters=parameters,
        optimiser="adagrad",
        optimiser_options={"learning_rate": 0.1, "momentum": 0.2, "lmbd": 0.0},
        state=[accumulators, momenta],
        loss="cross-entropy",
        loss_options={"logq": 0.0, "sample_alpha": 0.5, "bpreg": 1.0, "smoothing": 0.0},
        activation=("linear", ()),
        grad_cap=0.0,
        batch_size=batch_size,
        seed=3,
        support=np.ones(V, np.int64),
    )


def _ranks(b: Bytes) -> None:
    rows, units, items = b.byte() % 5, b.byte() % 6, b.byte() % 40
    features, w = b.array(np.float32, rows, units), b.array(np.float32, items, units)
    bias, scale = b.array(np.float32, items, 1), np.float32(10.0 ** (b.byte() % 40))
    features, w = features * scale, w * scale
    asked = b.array(np.int64, rows if b.byte() % 8 else b.byte() % 5)
    bounded = _core.BoundedItems(w, bias, threads=1)
    for call in (
        lambda: _core.rank_counts(features, w, bias, asked, 1),
        lambda: _core.item_scores(features, w, bias, asked, 1),
        lambda: _core.top_k(features, w, bias, b.number(), 1),
        lambda: bounded.rank_counts(features, asked, 1),
        lambda: bounded.top_k(features, b.number(), 1),
    ):
        with suppress(*REFUSED):
            call()


def _baselines(b: Bytes) -> None:
    n, n_items = b.byte() % 6, b.number()
    items = b.array(np.int32, b.byte() % 20)
    offsets = np.linspace(0, len(items), n + 1).astype(np.int64)
    if b.byte() % 4 == 0:
        offsets = b.array(np.int64, n + 1)
    order = np.arange(n) if b.byte() % 4 else b.array(np.int64, n)
    n_items = min(n_items, 10**6)
    _core.similar_items(items, offsets, n_items, b.number(), 20.0, 0.5)
    factors = np.zeros((n, 3), np.float32), np.zeros((b.byte() % 30, 3), np.float32)
    _core.train_bpr_mf(
        items, offsets, *factors, n_epochs=1, learning_rate=0.1, regularization=0.0, seed=0
    )
    knn = _core.SessionKnn(
        items, offsets, order, n_items,
        similarity="cosine", match_weight=False, idf=True, k=b.number(), m=b.number(),
    )  # fmt: skip
    sessions = b.array(np.int32, b.byte() % 4, b.byte() % 4)
    knn.rank_counts(sessions, b.array(np.int64, len(sessions)))
    knn.item_scores(sessions, b.array(np.int64, b.byte() % 4))
    knn.top_k(sessions, b.number())


ENTRIES: tuple[Callable[[Bytes], None], ...] = (
    _lanes, _store, _merge, _numberings, _partitions, _fields, _block, _ranks, _baselines,
)  # fmt: skip


def call_core(content: bytes) -> None:
    """Call an entry of the module, chosen by byte 0, with what the other bytes say.

    Raises:
        Exception: none but those that the bindings raise for arguments are expected.
    """
    taken = Bytes(content)
    entry = ENTRIES[taken.byte() % len(ENTRIES)]
    try:
        entry(taken)
    except REFUSED:
        return
