"""Baselines behind the same evaluation as GRU4Rec: `BASELINES[name]().fit(log)`.

`BASELINES` maps a name to its class: random, pop, session-pop, markov, item-knn, bpr-mf, sknn,
vsknn, vmis-knn. The classes are attributes of this package too, and are imported at first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gru4rec_fast.baselines.baseline import Baseline
    from gru4rec_fast.baselines.bpr_mf import BPRMF
    from gru4rec_fast.baselines.item_knn import ItemKNN
    from gru4rec_fast.baselines.markov import Markov
    from gru4rec_fast.baselines.pop import Pop
    from gru4rec_fast.baselines.random_pred import RandomPred
    from gru4rec_fast.baselines.session_knn import SKNN, VMISKNN, VSKNN
    from gru4rec_fast.baselines.session_pop import SessionPop

    BASELINES: dict[str, type[Baseline]]

__all__ = [
    "BASELINES",
    "BPRMF",
    "SKNN",
    "VMISKNN",
    "VSKNN",
    "ItemKNN",
    "Markov",
    "Pop",
    "RandomPred",
    "SessionPop",
]

_CLASSES = {
    "random": ("random_pred", "RandomPred"),
    "pop": ("pop", "Pop"),
    "session-pop": ("session_pop", "SessionPop"),
    "markov": ("markov", "Markov"),
    "item-knn": ("item_knn", "ItemKNN"),
    "bpr-mf": ("bpr_mf", "BPRMF"),
    "sknn": ("session_knn", "SKNN"),
    "vsknn": ("session_knn", "VSKNN"),
    "vmis-knn": ("session_knn", "VMISKNN"),
}
"""Name -> module of this package, class."""


def __getattr__(name: str) -> Any:
    # The modules import PyTorch, which takes seconds.
    if name == "BASELINES":
        return {key: getattr(_module(file), cls) for key, (file, cls) in _CLASSES.items()}
    for file, cls in _CLASSES.values():
        if name == cls:
            return getattr(_module(file), cls)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _module(file: str) -> Any:
    return importlib.import_module(f"{__name__}.{file}")
