"""The losses by name."""

from gru4rec_fast.kernels.losses.bpr import BPR
from gru4rec_fast.kernels.losses.bpr_max import BPR_MAX
from gru4rec_fast.kernels.losses.cross_entropy import CROSS_ENTROPY
from gru4rec_fast.kernels.losses.loss import Loss
from gru4rec_fast.kernels.losses.top1 import TOP1
from gru4rec_fast.kernels.losses.top1_max import TOP1_MAX

LOSSES: dict[str, Loss] = {
    "cross-entropy": CROSS_ENTROPY,
    "bpr-max": BPR_MAX,
    "bpr": BPR,
    "top1": TOP1,
    "top1-max": TOP1_MAX,
}

__all__ = ["LOSSES", "Loss"]
