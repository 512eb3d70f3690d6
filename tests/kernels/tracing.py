"""Triton's interpreter with programs in any order, and with every access to memory traced.

    with programs_in("reversed"):           launches run their programs in this order
        with traced() as faults:            and each adds to `faults` what a GPU may do otherwise
            ...

On a GPU the programs of a launch run at the same time and in no order, and so do the threads of a
program between two barriers. The interpreter runs one program after the other, so a launch that
relies on an order gives right results there. The trace finds what relies on one:

- an address that two programs write, or that one program writes and another reads; atomic accesses
  conflict with plain ones, not with each other (what they return still depends on the order);
- within a program, without a `tl.debug_barrier` between: an address read after it was written, or
  written by two stores, or twice by one store. A store of what was loaded from the same address
  waits for the load, so this order is no fault;
- an access outside the storage of the tensor whose pointer it started from. Pointers carry the
  number of their argument in bits that no address has, so a stray access into another argument is
  found too. The access itself is left out.

Addresses are compared in units of the launch's smallest element. Written against the interpreters
of triton 3.4 to 3.7.
"""

from __future__ import annotations

import random
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import numpy as np
from triton.runtime import interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

ORDERS = ("forward", "reversed", "shuffled")
READ, WRITE, ATOMIC = "reads", "writes", "changes atomically"
TAG_SHIFT = 48
"""User-space addresses of x86-64 and AArch64 have at most 48 bits."""
ADDRESS = np.uint64(2**TAG_SHIFT - 1)
_MACHINERY = (str(Path(interpreter.__file__).parents[1]), __file__)
"""Files between a kernel's line and the access."""


class Fault(NamedTuple):
    """What a launch does wrong, and the lines of the kernel that do it, as 'file.py:12'."""

    kernel: str
    what: str
    lines: tuple[str, ...]


@contextmanager
def programs_in(order: str, seed: int = 0) -> Iterator[None]:
    """Launches within it run their programs in one of ORDERS."""
    builder, draw = interpreter.interpreter_builder, random.Random(seed)
    set_grid_dim, set_grid_idx = builder.set_grid_dim, builder.set_grid_idx
    waiting: list[tuple[int, ...]] = []

    def begin_launch(*grid: int) -> None:
        set_grid_dim(*grid)
        waiting[:] = np.ndindex(*grid)
        if order == "shuffled":
            draw.shuffle(waiting)
        elif order == "forward":
            waiting.reverse()

    def begin_program(*_: int) -> None:
        set_grid_idx(*waiting.pop())

    with (
        patch.object(builder, "set_grid_dim", begin_launch),
        patch.object(builder, "set_grid_idx", begin_program),
    ):
        yield


@contextmanager
def traced() -> Iterator[list[Fault]]:
    """The faults of all launches within it, each once."""
    trace = _Trace()
    builder, launch = interpreter.interpreter_builder, interpreter.GridExecutor.__call__

    def run(executor: Any, *args: Any, **kwargs: Any) -> None:
        trace.begin_launch(executor.fn.__name__)
        launch(executor, *args, **kwargs)
        trace.end_launch()

    with ExitStack() as patches:
        patches.enter_context(patch.object(interpreter.GridExecutor, "__call__", run))
        patches.enter_context(patch.object(interpreter, "_implicit_cvt", trace.argument))
        for name in (
            "set_grid_idx", "create_masked_load", "create_masked_store", "create_atomic_rmw",
            "create_atomic_cas", "create_barrier",
        ):  # fmt: skip
            patches.enter_context(patch.object(builder, name, getattr(trace, name)))
        yield trace.faults


@dataclass
class _Access:
    """One load, store or atomic operation of a program."""

    program: int
    kind: str
    line: str
    addresses: NDArray[np.uint64]
    size: int
    """Bytes of an element."""
    era: int
    """Barriers that the program has passed."""


@dataclass
class _Trace:
    """Takes the place of the interpreter's methods of the same names, and calls them."""

    faults: list[Fault] = field(default_factory=list)
    kernel: str = ""
    extents: list[tuple[int, int]] = field(default_factory=list)
    """First address and end of the storage of each tensor among the launch's arguments."""
    accesses: list[_Access] = field(default_factory=list)
    program: int = -1
    era: int = 0

    def __post_init__(self) -> None:
        builder = interpreter.interpreter_builder
        self.original = {name: getattr(builder, name) for name in dir(builder) if name[0] != "_"}
        self.convert = interpreter._implicit_cvt

    def begin_launch(self, kernel: str) -> None:
        self.kernel, self.program = kernel.removesuffix("_kernel"), -1
        self.extents.clear()
        self.accesses.clear()

    def argument(self, value: Any) -> Any:
        """The kernel's argument; a tensor's pointer carries the tensor's number from 1 on."""
        converted = self.convert(value)
        if hasattr(value, "data_ptr"):
            storage = value.untyped_storage()
            self.extents.append((storage.data_ptr(), storage.data_ptr() + storage.nbytes()))
            converted.handle.data = converted.handle.data | np.uint64(
                len(self.extents) << TAG_SHIFT
            )
        return converted

    def set_grid_idx(self, *index: int) -> None:
        self.original["set_grid_idx"](*index)
        self.program += 1
        self.era = 0

    def create_barrier(self) -> None:
        self.original["create_barrier"]()
        self.era += 1

    def create_masked_load(self, pointers: Any, mask: Any, *rest: Any) -> Any:
        pointers, mask = self._access(READ, pointers, mask)
        return self.original["create_masked_load"](pointers, mask, *rest)

    def create_masked_store(self, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        pointers, mask = self._access(WRITE, pointers, mask)
        return self.original["create_masked_store"](pointers, value, mask, *rest)

    def create_atomic_rmw(self, op: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        pointers, mask = self._access(ATOMIC, pointers, mask)
        return self.original["create_atomic_rmw"](op, pointers, value, mask, *rest)

    def create_atomic_cas(self, pointers: Any, *rest: Any) -> Any:
        pointers, mask = self._access(ATOMIC, pointers, None)
        if not mask.data.all():
            raise AssertionError(f"{self.kernel} compares and swaps outside its argument")
        return self.original["create_atomic_cas"](pointers, *rest)

    def _access(self, kind: str, pointers: Any, mask: Any) -> tuple[Any, Any]:
        """Note an access; returns its pointers as addresses and its mask without stray ones."""
        element, line = pointers.get_element_ty(), _kernel_line()
        size = max(1, element.primitive_bitwidth // 8)
        addresses = pointers.data & ADDRESS
        wanted = np.ones(addresses.shape, bool)
        if mask is not None:
            wanted = np.broadcast_to(np.asarray(mask.data, bool), addresses.shape)
        number = (pointers.data >> np.uint64(TAG_SHIFT)).astype(np.int64)
        extents = np.array([(0, 0), *self.extents], dtype=np.uint64)
        known = np.where(number < len(extents), number, 0)
        inside = (addresses >= extents[known, 0]) & (
            addresses + np.uint64(size) <= extents[known, 1]
        )
        if (wanted & ~inside).any():
            self._fault(f"{kind} outside its argument", line)
        chosen = wanted & inside
        self.accesses.append(
            _Access(self.program, kind, line, addresses[chosen].ravel(), size, self.era)
        )
        handle = interpreter.TensorHandle
        return handle(addresses, pointers.dtype), handle(chosen, interpreter.tl.int1)

    def end_launch(self) -> None:
        """Compare the accesses of the launch with each other."""
        if not self.accesses:
            return
        unit = min(access.size for access in self.accesses)
        units = [_units(access, unit) for access in self.accesses]
        self._compare_in_programs(units)
        self._compare_programs(units)

    def _compare_in_programs(self, units: Sequence[Numbers]) -> None:
        written: list[int] = []  # the stores of the program since its last barrier
        place = (-1, 0)
        for i, access in enumerate(self.accesses):
            if place != (access.program, access.era):
                place = (access.program, access.era)
                written.clear()
            for earlier in written:
                if access.kind == ATOMIC == self.accesses[earlier].kind:
                    continue
                if _meet(units[i], units[earlier]):
                    what = f"{access.kind} what the same program wrote before, without a barrier"
                    self._fault(what, self.accesses[earlier].line, access.line)
            if access.kind != READ:
                written.append(i)
            if access.kind == WRITE and len(np.unique(units[i])) < len(units[i]):
                self._fault("writes an address twice in one store", access.line)

    def _compare_programs(self, units: Sequence[Numbers]) -> None:
        kinds = np.array([access.kind for access in self.accesses])
        programs = np.array([access.program for access in self.accesses])
        event = np.repeat(np.arange(len(units)), [len(each) for each in units])
        address = np.concatenate(units)
        for kind in (WRITE, ATOMIC):
            owns = kinds[event] == kind
            owner, owned = event[owns], address[owns]
            if not len(owned):
                continue
            order = np.lexsort((programs[owner], owned))
            owner, owned = owner[order], owned[order]
            places, first = np.unique(owned, return_index=True)
            last = np.append(first[1:], len(owned)) - 1
            lowest, highest = programs[owner[first]], programs[owner[last]]

            compared = ~owns if kind == ATOMIC else np.ones(len(event), bool)
            at = np.minimum(np.searchsorted(places, address), len(places) - 1)
            mine = programs[event]
            foreign = (lowest[at] != mine) | (highest[at] != mine)
            hits = np.flatnonzero(compared & (places[at] == address) & foreign)
            for hit in hits[np.unique(event[hits], return_index=True)[1]]:
                access = self.accesses[event[hit]]
                other = owner[(owned == address[hit]) & (programs[owner] != access.program)][0]
                what = f"{access.kind} what another program {kind}"
                self._fault(what, access.line, self.accesses[other].line)

    def _fault(self, what: str, *lines: str) -> None:
        fault = Fault(self.kernel, what, lines)
        if fault not in self.faults:
            self.faults.append(fault)


def _units(access: _Access, unit: int) -> Numbers:
    """The numbers of the units of memory that an access touches."""
    first = (access.addresses // np.uint64(unit)).astype(np.int64)
    return (first[:, None] + np.arange(access.size // unit)).ravel()


def _meet(a: Numbers, b: Numbers) -> bool:
    """Whether two lists of numbers have a common one."""
    if not len(a) or not len(b) or a.min() > b.max() or b.min() > a.max():
        return False
    return bool(np.isin(a, b).any())


def _kernel_line() -> str:
    """Line of the running kernel that makes the access."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename.startswith(_MACHINERY):
        frame = frame.f_back  # type: ignore[assignment]
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
