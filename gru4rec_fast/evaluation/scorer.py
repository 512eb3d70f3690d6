"""What can be evaluated: whatever keeps the state of lanes and ranks items after each event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Scorer(Protocol):
    """Whatever can be evaluated: a network, or a baseline."""

    device: torch.device
    rows_per_block: int
    """Rows whose features are kept until they are ranked together."""

    def start(self, lanes: int) -> Any:
        """State of lanes in which no session has begun."""

    def step(self, state: Any, inputs: Tensor, restarts: Tensor, source: Tensor) -> Tensor:
        """Advance M lanes by one event, `state` in place; returns features (M, F)."""

    def top_k(self, features: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Scores and items (R, min(k, V)), best first; equal ones by ascending index."""

    def rank_counts(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Items scored above each row's target, and items scored equal, the target included."""
