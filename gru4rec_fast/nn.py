"""The engine's pieces as modules for other PyTorch models: `GRUStep` and `SampledLoss`.

On CUDA and ROCm devices, in float32, they run the Triton kernels; anywhere else plain PyTorch. Both
are differentiable in their tensors and parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gru4rec_fast import reference
from gru4rec_fast.checks import one_of
from gru4rec_fast.config import LOSSES, Config
from gru4rec_fast.engines.triton import TritonEngine


class GRUStep(nn.GRUCell):
    """`torch.nn.GRUCell` whose step is one kernel forward and three backward.

    Same arguments, parameters and state_dict keys; h' = (1 - z) n + z h, see
    `reference.gru_reset_after`. `precision` of the kernels' products is 'tf32' or 'ieee'.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, precision: str = "tf32"
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        self.precision = precision

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:  # noqa: A002
        """State (M, H) after input (M, K) and the state hx (M, H), zeros if None."""
        weights = [self.weight_ih, self.weight_hh]
        if input.ndim != 2 or not _runs_kernels(input, *weights):
            return super().forward(input, hx)
        from gru4rec_fast.kernels.functional import gru_step

        if hx is None:
            hx = input.new_zeros(len(input), self.hidden_size)
        none = input.new_zeros(3 * self.hidden_size)
        b_ih, b_hh = (self.bias_ih, self.bias_hh) if self.bias else (none, none)
        return gru_step(input, hx, self.weight_ih, self.weight_hh, b_ih, b_hh, self.precision)


class SampledLoss(nn.Module):
    """Mean loss of M targets against each other and S sampled negatives.

    Args:
        loss: 'cross-entropy', 'bpr-max', 'top1-max', 'bpr' or 'top1'.
        bpreg: weight of the score regularisation of bpr-max.
        elu_param: ELU parameter of bpr-max; the scores of the other losses stay as they are.
        logq: if above 0, cross-entropy's scores are corrected by logq * log q, where q is support
            for targets and support^sample_alpha for negatives.
        sample_alpha: the exponent in q.
        support: (V,) the events of each item.
        sparse: gradients of the item table and biases are sparse tensors.
        precision: of the kernels' products, 'tf32' or 'ieee'.

    Raises:
        ValueError: an unknown loss, or logq without support.
    """

    log_support: Tensor | None

    def __init__(
        self,
        loss: str = "cross-entropy",
        *,
        bpreg: float = 1.0,
        elu_param: float = 0.5,
        logq: float = 0.0,
        sample_alpha: float = 0.5,
        support: Tensor | None = None,
        sparse: bool = False,
        precision: str = "tf32",
    ) -> None:
        super().__init__()
        one_of("loss", loss, LOSSES)
        if logq > 0 and loss == "cross-entropy" and support is None:
            raise ValueError(f"logq is {logq}; expected support, the count of each item, with it")
        self.config = Config(
            loss=loss, bpreg=bpreg, elu_param=elu_param, logq=logq, sample_alpha=sample_alpha
        )
        self.sparse, self.precision = sparse, precision
        log_support = None
        if support is not None:
            log_support = torch.log(support.double().clamp(min=1)).float()
        self.register_buffer("log_support", log_support)

    def forward(
        self, h: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, negatives: Tensor
    ) -> Tensor:
        """The mean of the M losses.

        h (M, H) states; weight (V, H) and bias (V, 1) of the items; targets (M,), negatives (S,).
        On a GPU, finding the unique items waits for the device.
        """
        config = self.config
        if _runs_kernels(h, weight, bias):
            from gru4rec_fast.kernels.functional import sampled_loss
            from gru4rec_fast.kernels.sampled_loss import LossOptions

            return sampled_loss(
                h, weight, bias, targets, negatives, LossOptions.of(config),
                self.log_support, self.sparse, self.precision,
            )  # fmt: skip
        columns = torch.cat([targets, negatives])
        w = nn.functional.embedding(columns, weight, sparse=self.sparse)
        s = reference.scores(h, w, nn.functional.embedding(columns, bias, sparse=self.sparse))
        if config.logq > 0 and config.loss == "cross-entropy" and self.log_support is not None:
            log_q = self.log_support[columns].to(s.dtype)
            factor = torch.full_like(log_q, config.sample_alpha)
            factor[: len(targets)] = 1.0
            s = s - config.logq * factor * log_q
        s = reference.activate(s, config.score_activation)
        return reference.LOSSES[config.loss](s, config).mean()


def _runs_kernels(*tensors: Tensor) -> bool:
    """Whether the Triton kernels take these tensors: float32 on a GPU, parameters contiguous."""
    engine = TritonEngine()
    return all(engine.ranks(t.device, t.dtype) is None for t in tensors) and all(
        t.is_contiguous() for t in tensors[1:]
    )
