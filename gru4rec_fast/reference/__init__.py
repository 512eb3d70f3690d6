"""The specification of GRU4Rec in plain PyTorch: every fast path is tested against it.

It is differentiable, works in float32 and float64 on any device, and computes each thing the
obvious way. The engines use the same stems: `lanes`, `cells`, `losses`, `optimisers`,
`step`, `ranks`.
Papers: Hidasi et al., ICLR 2016 (arXiv:1511.06939), "2016" in the comments; Hidasi & Karatzoglou,
CIKM 2018 (arXiv:1706.03847), "2018".

Letters: B lanes, M live lanes (M <= B), H hidden units, V items, S sampled negatives, N = M + S
scored columns. Parameters are passed as a dict whose keys are the names of the model's state_dict:

    Wy.weight (V, H)   By.weight (V, 1)         item vectors and biases of the output
    E.weight (V, K)                             input embedding, only with `embedding=K`
    GE.Wx0.weight (V, 3H) GE.Wrz0 (H, 2H) GE.Wh0 (H, H) GE.Bh0 (3H,)      one-hot first cell
    G.{i}.weight_ih (3H, K) .weight_hh (3H, H) .bias_ih .bias_hh (3H,)    the other cells

Without `E.weight` and `GE.*` the input is a row of Wy (shared, "constrained" embedding). Which of
them there are says a `spec.NetworkSpec`.
"""

from gru4rec_fast.reference.cells import CELLS, gru_reset_after, gru_reset_before
from gru4rec_fast.reference.lanes import LaneStep, carry, session_parallel_batches
from gru4rec_fast.reference.losses import (
    LOG_EPSILON,
    LOSSES,
    bpr_max,
    correct_logq,
    cross_entropy,
    elu,
)
from gru4rec_fast.reference.network import Parameters, advance, dropout, scores
from gru4rec_fast.reference.optimisers import (
    ADAGRAD_EPSILON,
    OPTIMISERS,
    Adagrad,
    Optimiser,
    adagrad,
    update_rows,
)
from gru4rec_fast.reference.ranks import (
    RANKS,
    ItemGroups,
    ScoreTile,
    item_scores,
    rank_counts,
    top_k,
)
from gru4rec_fast.reference.step import Gradient, Touched, loss_and_gradients, touched_rows

__all__ = [
    "ADAGRAD_EPSILON",
    "CELLS",
    "LOG_EPSILON",
    "LOSSES",
    "OPTIMISERS",
    "RANKS",
    "Adagrad",
    "Gradient",
    "ItemGroups",
    "LaneStep",
    "Optimiser",
    "Parameters",
    "ScoreTile",
    "Touched",
    "adagrad",
    "advance",
    "bpr_max",
    "carry",
    "correct_logq",
    "cross_entropy",
    "dropout",
    "elu",
    "gru_reset_after",
    "gru_reset_before",
    "item_scores",
    "loss_and_gradients",
    "rank_counts",
    "scores",
    "session_parallel_batches",
    "top_k",
    "touched_rows",
    "update_rows",
]
