"""The authors' published settings by data set (SPEC section 9)."""

from __future__ import annotations

from typing import Any

_TUNED = (
    "loss", "layers", "batch_size", "dropout_p_embed", "dropout_p_hidden", "learning_rate",
    "momentum", "sample_alpha", "bpreg", "elu_param", "logq",
)  # fmt: skip
_PUBLISHED = {
    #                loss             H       B   drop-outs   η      μ     α    bpreg elu  logq
    "rsc15":        ("cross-entropy", (100,), 32, 0.00, 0.40, 0.200, 0.20, 0.5, 0.00, 0.0, 1.0),
    "yoochoose":    ("cross-entropy", (480,), 48, 0.00, 0.20, 0.070, 0.00, 0.2, 0.00, 0.0, 1.0),
    "rees46":       ("cross-entropy", (512,), 240, 0.45, 0.0, 0.065, 0.00, 0.5, 0.00, 0.0, 1.0),
    "coveo":        ("bpr-max",       (512,), 144, 0.35, 0.0, 0.050, 0.40, 0.2, 1.85, 1.0, 0.0),
    "retailrocket": ("bpr-max",       (224,), 80, 0.50, 0.05, 0.050, 0.40, 0.4, 1.95, 0.5, 0.0),
    "diginetica":   ("bpr-max",       (512,), 128, 0.50, 0.3, 0.050, 0.15, 0.3, 0.90, 1.0, 0.0),
}  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    name: dict(zip(_TUNED, values, strict=True))
    | {"n_sample": 2048, "embedding": 0, "constrained_embedding": True, "n_epochs": 10}
    for name, values in _PUBLISHED.items()
}
"""Data set -> hyper-parameters: `GRU4Rec(**PRESETS["rsc15"])`."""
