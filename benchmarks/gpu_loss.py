"""`nn.SampledLoss` beside other ways to the same cross-entropy over sampled columns.

M states against M targets and S sampled negatives of V items: forward and backward, time and peak
memory. `kernels` and `kernels sparse` are `nn.SampledLoss` with dense and sparse gradients of the
table; `plain` and `plain sparse` are PyTorch's embedding, addmm and cross_entropy; `plain logits
only` the same without the table, on gathered rows. `torch fused` is PyTorch's linear_cross_entropy
where it has one, and `cce` the package cut-cross-entropy where it is installed (bfloat16, without
biases, as it has none), both on the gathered rows too. A way that fails leaves its error.

Ways in float32 must give the loss and the state's gradient of the first one; the report says how
far they are off.
"""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from benchmarks.gpu_timing import peak_bytes, seconds, wait
from gru4rec_fast.engines.triton import TF32
from gru4rec_fast.nn import SampledLoss

if TYPE_CHECKING:
    from collections.abc import Callable

TOLERANCE = 1e-2
"""Relative, of ways in tf32 over a width of some hundred."""


def ways(
    h: Tensor, w: Tensor, b: Tensor, targets: Tensor, negatives: Tensor
) -> dict[str, Callable[[], Tensor]]:
    """Each way's mean loss of the rows."""
    columns = torch.cat([targets, negatives])
    own = torch.arange(len(targets), device=h.device)

    def plain(sparse: bool) -> Tensor:
        rows = F.embedding(columns, w, sparse=sparse)
        bias = F.embedding(columns, b, sparse=sparse)
        return F.cross_entropy(torch.addmm(bias.T, h, rows.T), own)

    def kernels(sparse: bool) -> Tensor:
        loss = SampledLoss("cross-entropy", sparse=sparse, precision=TF32)
        if h.device.type == "cuda":
            value: Tensor = loss(h, w, b, targets, negatives)
            return value
        from gru4rec_fast.kernels.functional import sampled_loss
        from gru4rec_fast.kernels.sampled_loss import LossOptions

        options = LossOptions.of(loss.config)  # the interpreter runs these on the CPU
        return sampled_loss(h, w, b, targets, negatives, options, sparse=sparse)

    gathered = w.detach()[columns].requires_grad_()
    gathered_bias = b.detach()[columns, 0].requires_grad_()

    def logits_only() -> Tensor:
        return F.cross_entropy(torch.addmm(gathered_bias, h, gathered.T), own)

    def fused() -> Tensor:
        linear_cross_entropy = F.linear_cross_entropy  # since torch 2.13
        return linear_cross_entropy(h, gathered, own, linear_bias=gathered_bias)

    def cce() -> Tensor:
        package: Any = importlib.import_module("cut_cross_entropy")
        half = torch.bfloat16
        loss: Tensor = package.linear_cross_entropy(h.to(half), gathered.to(half), own)
        return loss

    return {
        "plain": lambda: plain(False),
        "plain sparse": lambda: plain(True),
        "kernels": lambda: kernels(False),
        "kernels sparse": lambda: kernels(True),
        "plain logits only": logits_only,
        "torch fused": fused,
        "cce": cce,
    }


def compare(
    n_items: int,
    device: torch.device,
    rows: int,
    negatives: int,
    units: int,
    repeats: int,
    chains: int = 5,
) -> dict[str, Any]:
    """Seconds, peak bytes and deviation of each way."""
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True
    h = torch.randn(rows, units, device=device, requires_grad=True)
    w = (torch.randn(n_items, units, device=device) / units**0.5).requires_grad_()
    b = (0.1 * torch.randn(n_items, 1, device=device)).requires_grad_()
    targets = torch.randint(n_items, (rows,), device=device)
    sampled = torch.randint(n_items, (negatives,), device=device)
    found: dict[str, Any] = {}
    failures: list[str] = []
    truth: tuple[float, Tensor] | None = None
    for name, way in ways(h, w, b, targets, sampled).items():

        def step(way: Callable[[], Tensor] = way) -> float | Tensor:
            for each in (h, w, b):
                each.grad = None
            loss = way()
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.detach()

        try:
            loss = float(step())
            assert h.grad is not None
            gradient = h.grad.float()
            if truth is None:
                truth = loss, gradient.clone()
            off = abs(loss - truth[0]) / abs(truth[0])
            off_gradient = float((gradient - truth[1]).norm() / truth[1].norm())
            found[name] = {"loss": loss, "loss_off": off, "gradient_off": off_gradient}
            if not (max(off, off_gradient) < TOLERANCE or name == "cce"):  # NaN fails too
                failures.append(f"{name} is {max(off, off_gradient):.1e} off")
            wait(device)
            found[name]["seconds"] = seconds(step, repeats, device, chains)
            for each in (h, w, b):
                each.grad = None
            found[name]["peak_bytes"] = peak_bytes(step, device)
        except Exception as error:
            found[name] = {"note": f"{type(error).__name__}: {error}"[:300]}
            if name.startswith(("plain", "kernels")):
                failures.append(f"{name}: {found[name]['note']}")
    assert all(math.isfinite(each.get("loss", 0.0)) for each in found.values()), found
    result: dict[str, Any] = {"loss": {"V": n_items, "rows": rows, "negatives": negatives}}
    result["loss"] |= {"units": units, "ways": found}
    return result | ({"failures": failures} if failures else {})
