"""The presets are the published settings."""

from __future__ import annotations

from gru4rec_fast.config import Config
from gru4rec_fast.presets import PRESETS

# The authors' published settings, as text: it can be compared with SPEC section 9 by eye.
PUBLISHED = """
set           loss           H    B    embed  hidden  rate   momentum  alpha  bpreg  elu  logq
rsc15         cross-entropy  100  32   0.0    0.4     0.2    0.2       0.5    0      0    1
yoochoose     cross-entropy  480  48   0      0.2     0.07   0         0.2    0      0    1
rees46        cross-entropy  512  240  0.45   0       0.065  0         0.5    0      0    1
coveo         bpr-max        512  144  0.35   0       0.05   0.4       0.2    1.85   1    0
retailrocket  bpr-max        224  80   0.5    0.05    0.05   0.4       0.4    1.95   0.5  0
diginetica    bpr-max        512  128  0.5    0.3     0.05   0.15      0.3    0.9    1    0
"""
COLUMNS = (
    "loss", "layers", "batch_size", "dropout_p_embed", "dropout_p_hidden", "learning_rate",
    "momentum", "sample_alpha", "bpreg", "elu_param", "logq",
)  # fmt: skip


def test_the_presets_are_the_published_settings() -> None:
    published = {
        name: Config().replace(
            **dict(zip(COLUMNS, values, strict=True)),
            n_sample=2048,
            n_epochs=10,
            embedding=0,
            constrained_embedding=True,
        )
        for name, *values in (line.split() for line in PUBLISHED.strip().splitlines()[1:])
    }
    assert {name: Config().replace(**preset) for name, preset in PRESETS.items()} == published
