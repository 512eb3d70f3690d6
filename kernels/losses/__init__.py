"""The losses by name."""

from gru4rec_fast.kernels.losses.bpr_max import BPR_MAX
from gru4rec_fast.kernels.losses.cross_entropy import CROSS_ENTROPY
from gru4rec_fast.kernels.losses.loss import Loss

LOSSES: dict[str, Loss] = {"cross-entropy": CROSS_ENTROPY, "bpr-max": BPR_MAX}

__all__ = ["LOSSES", "Loss"]
