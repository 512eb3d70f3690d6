"""What all optimisers do around their rule: read the state, apply L2 and momentum, write.

    d = eta (g^ + lambda theta)
    v = mu v - d, theta += v    with momentum,    theta -= d    without

The state is read apart from the rest, so that a kernel can ask for all that it needs at once and
wait for the memory once. `reference.Optimiser.update`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels._tile import appended
from gru4rec_fast.kernels.device_block import RATE


@triton.jit
def learning_rate(record, options):
    """Eta of the step: an option, or of a schedule, in the step's record."""
    if len(options.learning_rate) == 0:
        return tl.load(record + RATE).to(tl.float32, bitcast=True)
    else:  # noqa: RET505 - Triton compiles one of the two branches
        return options.learning_rate[0]


@triton.jit
def load_states(parameter, at, mask, row_at, row_mask, ROW_STATE: tl.constexpr):
    """The state of a tile of elements, a tuple of tiles; of state ROW_STATE one number a row.

    at: offsets of the elements; mask: which of them exist; row_at, row_mask: the same of the rows'
    single numbers, (rows, 1).
    """
    states = ()
    for i in tl.static_range(len(parameter.state)):
        if i == ROW_STATE:
            value = tl.load(parameter.state[i] + row_at, mask=row_mask, other=0.0)
        else:
            value = tl.load(parameter.state[i] + at, mask=mask, other=0.0)
        states = appended(states, value)
    return states


@triton.jit
def update_tile(
    parameter, at, mask, row_at, row_mask, theta, states, g, rate, options,
    RULE: tl.constexpr, ROW_STATE: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Update elements of a parameter and their state, from what was read of both.

    RULE, WIDTH: `Optimiser.update` and its WIDTH; g: the elements' gradient; rate: eta; the others
    as in `load_states`.
    """
    step, new_states = RULE(states, g, rate, options, WIDTH)
    if len(options.l2) > 0:
        step -= rate * options.l2[0] * theta
    if len(parameter.state) > len(new_states):
        step += options.momentum * states[len(new_states)]
        new_states = appended(new_states, step)
    for i in tl.static_range(len(new_states)):
        if i == ROW_STATE:
            tl.store(parameter.state[i] + row_at, new_states[i], mask=row_mask)
        else:
            tl.store(parameter.state[i] + at, new_states[i], mask=mask)
    tl.store(parameter.theta + at, theta + step, mask=mask)
