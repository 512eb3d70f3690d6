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
    GE.Wx0.weight (V, gates * H)                table of a one-hot input, and the weights of the
    GE.Wrz0 GE.Wh0 GE.Bh0                       first cell, here of the GRU with reset before
    G.{i}.weight_ih .weight_hh .bias_ih ...     the other cells (`spec.CELLS`)
    F.{i}.weight F.{i}.bias                     feed-forward layers

Without `E.weight` and `GE.*` the input is a row of Wy (shared, "constrained" embedding). A
`spec.NetworkSpec` says which of them there are.
"""

from gru4rec_fast.reference.activations import ACTIVATIONS, activate
from gru4rec_fast.reference.cells import CELLS, gru_reset_after, gru_reset_before, lstm, rnn
from gru4rec_fast.reference.lanes import LaneStep, carry, session_parallel_batches
from gru4rec_fast.reference.losses import (
    LOG_EPSILON,
    LOSSES,
    bpr,
    bpr_max,
    correct_logq,
    cross_entropy,
    negative_softmax,
    top1,
    top1_max,
)
from gru4rec_fast.reference.network import Parameters, advance, dropout, scores
from gru4rec_fast.reference.optimisers import (
    OPTIMISER_EPSILON,
    OPTIMISERS,
    Adadelta,
    Adagrad,
    AdagradRowwise,
    Adam,
    Optimiser,
    RmsProp,
    Sgd,
    cap_gradients,
    update_rows,
)
from gru4rec_fast.reference.products import LINEAR, Linear, linear_of_parts, product_of_parts
from gru4rec_fast.reference.ranks import (
    RANKS,
    ItemGroups,
    ScoreTile,
    item_scores,
    rank_counts,
    top_k,
)
from gru4rec_fast.reference.rounding import rounded_rows
from gru4rec_fast.reference.step import Gradient, Touched, loss_and_gradients, touched_rows

__all__ = [
    "ACTIVATIONS",
    "CELLS",
    "LINEAR",
    "LOG_EPSILON",
    "LOSSES",
    "OPTIMISERS",
    "OPTIMISER_EPSILON",
    "RANKS",
    "Adadelta",
    "Adagrad",
    "AdagradRowwise",
    "Adam",
    "Gradient",
    "ItemGroups",
    "LaneStep",
    "Linear",
    "Optimiser",
    "Parameters",
    "RmsProp",
    "ScoreTile",
    "Sgd",
    "Touched",
    "activate",
    "advance",
    "bpr",
    "bpr_max",
    "cap_gradients",
    "carry",
    "correct_logq",
    "cross_entropy",
    "dropout",
    "gru_reset_after",
    "gru_reset_before",
    "item_scores",
    "linear_of_parts",
    "loss_and_gradients",
    "lstm",
    "negative_softmax",
    "product_of_parts",
    "rank_counts",
    "rnn",
    "rounded_rows",
    "scores",
    "session_parallel_batches",
    "top1",
    "top1_max",
    "top_k",
    "touched_rows",
    "update_rows",
]
