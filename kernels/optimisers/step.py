"""What all optimisers do with the scaled gradient: L2, momentum, and the new value.

    d = eta (g^ + lambda theta);    v = mu v - d, theta += v  (with momentum)    theta -= d  (without)

`reference.Optimiser.update`.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def take_step(parameter, at, theta, step, mask, options, N_STATES: tl.constexpr):
    """Write theta and its velocity. step: -eta g^; N_STATES: state tables of the rule itself."""
    if len(options.l2) > 0:
        step -= options.learning_rate * options.l2[0] * theta
    if len(parameter.state) > N_STATES:
        velocity = parameter.state[N_STATES] + at
        step += options.momentum * tl.load(velocity, mask=mask, other=0.0)
        tl.store(velocity, step, mask=mask)
    tl.store(parameter.theta + at, theta + step, mask=mask)
