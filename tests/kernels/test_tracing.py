"""Planted faults are found by the trace, and right kernels pass it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import triton
import triton.language as tl

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason="the interpreter runs where there is no GPU"
)
if not torch.cuda.is_available():
    from tests.kernels.tracing import ORDERS, programs_in, traced

PROGRAMS = 4


@triton.jit
def _right_kernel(out_ptr, in_ptr, BLOCK: tl.constexpr):
    """Each program doubles its own block in place, and all read one common number."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + at, 2 * tl.load(out_ptr + at) + tl.load(in_ptr))


@triton.jit
def _common_write_kernel(out_ptr, in_ptr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + at // (2 * BLOCK), tl.load(in_ptr + at), mask=at % BLOCK == 0)


@triton.jit
def _common_read_kernel(out_ptr, in_ptr, BLOCK: tl.constexpr):
    """Reads the block of the program before it, which that program writes."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    before = tl.load(out_ptr + at - BLOCK, mask=tl.program_id(0) > 0, other=0.0)
    tl.store(out_ptr + at, before + 1)


@triton.jit
def _stray_read_kernel(out_ptr, in_ptr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + at, tl.load(in_ptr + at + 1))  # the last one lies behind the input


@triton.jit
def _stray_write_kernel(out_ptr, in_ptr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + at - 1, tl.load(in_ptr + at))


@triton.jit
def _read_back_kernel(out_ptr, in_ptr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + at, tl.load(in_ptr + at))
    turned = tl.program_id(0) * BLOCK + (BLOCK - 1) - tl.arange(0, BLOCK)
    tl.store(in_ptr + at, tl.load(out_ptr + turned))


@triton.jit
def _barrier_kernel(out_ptr, in_ptr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + at, tl.load(in_ptr + at))
    tl.debug_barrier()
    turned = tl.program_id(0) * BLOCK + (BLOCK - 1) - tl.arange(0, BLOCK)
    tl.store(in_ptr + at, tl.load(out_ptr + turned))


@triton.jit
def _twice_kernel(out_ptr, in_ptr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out_ptr + at - at % 2, tl.load(in_ptr + at))


@triton.jit
def _atomic_kernel(out_ptr, in_ptr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(out_ptr, tl.sum(tl.load(in_ptr + at), axis=0))


@triton.jit
def _atomic_and_plain_kernel(out_ptr, in_ptr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    if tl.program_id(0) == 0:
        tl.store(in_ptr, tl.load(out_ptr))
    tl.atomic_add(out_ptr, tl.sum(tl.load(in_ptr + 1 + at, mask=at < 5, other=0.0), axis=0))


RIGHT = [_right_kernel, _barrier_kernel, _atomic_kernel]
FAULTY = [
    (_common_write_kernel, {"writes what another program writes"}),
    (_common_read_kernel, {"reads what another program writes"}),
    (_stray_read_kernel, {"reads outside its argument"}),
    (_stray_write_kernel, {"writes outside its argument"}),
    (_read_back_kernel, {"reads what the same program wrote before, without a barrier"}),
    (_twice_kernel, {"writes an address twice in one store"}),
    (_atomic_and_plain_kernel, {"reads what another program changes atomically"}),
]


def launch(kernel: Any) -> None:
    kernel[(PROGRAMS,)](torch.zeros(PROGRAMS * 16), torch.ones(PROGRAMS * 16), BLOCK=16)


@pytest.mark.parametrize("kernel", RIGHT, ids=lambda k: k.__name__)
def test_right_kernels_pass(kernel: Any) -> None:
    with traced() as faults:
        launch(kernel)
    assert faults == []


@pytest.mark.parametrize(("kernel", "expected"), FAULTY, ids=lambda v: getattr(v, "__name__", ""))
def test_planted_faults_are_found(kernel: Any, expected: set[str]) -> None:
    with traced() as faults:
        launch(kernel)
    assert {fault.what for fault in faults} == expected
    assert all("test_tracing.py:" in line for fault in faults for line in fault.lines)


@triton.jit
def _through_another_kernel(out_ptr, in_ptr, distance):
    tl.store(out_ptr, tl.load(out_ptr + distance))


def test_an_access_into_another_argument_is_stray_and_is_left_out() -> None:
    out, given = torch.zeros(16), torch.ones(16)
    distance = (given.data_ptr() - out.data_ptr()) // 4
    _through_another_kernel[(1,)](out, given, distance)
    assert out[0] == 1
    with traced() as faults:
        _through_another_kernel[(1,)](out, given, distance)
    assert [fault.what for fault in faults] == ["reads outside its argument"]
    assert out[0] == 0


@triton.jit
def _order_kernel(order_ptr, count_ptr):
    place = tl.load(count_ptr)
    tl.store(order_ptr + place, tl.program_id(0) * 2 + tl.program_id(1))
    tl.store(count_ptr, place + 1)


def test_programs_run_in_the_order_asked_for() -> None:
    seen = {}
    for order in ORDERS:
        out, count = torch.zeros(6, dtype=torch.int32), torch.zeros(1, dtype=torch.int32)
        with programs_in(order):
            _order_kernel[(3, 2)](out, count)
        seen[order] = out.tolist()
    assert seen["forward"] == [0, 1, 2, 3, 4, 5]
    assert seen["reversed"] == [5, 4, 3, 2, 1, 0]
    assert sorted(seen["shuffled"]) == seen["forward"]
    assert seen["shuffled"] not in (seen["forward"], seen["reversed"])
