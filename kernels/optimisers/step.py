"""What all optimisers do with the scaled gradient: L2 and momentum.

    d = eta (g^ + lambda theta)
    v = mu v - d, theta += v    with momentum,    theta -= d    without

`reference.Optimiser.update`.
"""

from __future__ import annotations

import triton
import triton.language as tl

from gru4rec_fast.kernels.device_block import RATE


@triton.jit
def learning_rate(options):
    """Eta of the current step: an option, or of a schedule, in the step's record."""
    if len(options.schedule) > 0:
        record = options.schedule[0] + tl.load(options.schedule[1]) * options.schedule[2]
        return tl.load(record + RATE).to(tl.float32, bitcast=True)
    else:  # noqa: RET505 - Triton compiles one of the two branches
        return options.learning_rate


@triton.jit
def whole_step(parameter, at, theta, step, mask, options, N_STATES: tl.constexpr):
    """What to add to theta; writes the velocity.

    step: -eta g^; N_STATES: state tables of the rule itself, before that of the velocity.
    """
    if len(options.l2) > 0:
        step -= learning_rate(options) * options.l2[0] * theta
    if len(parameter.state) > N_STATES:
        velocity = parameter.state[N_STATES] + at
        step += options.momentum * tl.load(velocity, mask=mask, other=0.0)
        tl.store(velocity, step, mask=mask)
    return step
