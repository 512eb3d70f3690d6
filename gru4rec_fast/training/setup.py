"""What a training needs before its first step: negatives, a trainer, and memory."""

from __future__ import annotations

import logging
import re
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from gru4rec_fast.engines import choice
from gru4rec_fast.errors import ParameterError
from gru4rec_fast.parameter import as_text
from gru4rec_fast.plan.lanes import DEFAULT_BLOCK_STEPS
from gru4rec_fast.plan.negatives import FixedNegatives, Negatives, negative_sampler
from gru4rec_fast.reference import OPTIMISERS
from gru4rec_fast.training.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray

    from gru4rec_fast.config import Config
    from gru4rec_fast.data.sessions import Sessions
    from gru4rec_fast.engines.contract import Trainer
    from gru4rec_fast.model.network import Network


logger = logging.getLogger(__name__)


def sampler_of(
    config: Config, support: NDArray[np.int64], negatives: ArrayLike | None
) -> Negatives:
    """The negatives that the user gives, or a sampler by `support` (V,) and `sample_alpha`.

    Raises:
        ParameterError: negatives of another shape or with indices out of range; a `sample_alpha`
            too large for the support.
    """
    if negatives is None:
        alpha = config.sample_alpha
        try:
            with np.errstate(over="ignore"):
                return negative_sampler(support, alpha)
        except ValueError as error:
            raise ParameterError(
                f"sample_alpha={alpha}: support^sample_alpha is beyond any number for an item "
                f"of {support.max()} events; expected 0 (uniform) to about 1 (popular)"
            ) from error
    try:
        fixed = FixedNegatives(np.asarray(negatives), len(support))
    except ValueError as error:
        raise ParameterError(str(error)) from error
    if fixed.n_sample != config.n_sample:
        raise ParameterError(
            f"negatives have {fixed.n_sample} columns but n_sample={config.n_sample}; "
            f"expected shape (T, {config.n_sample}). Set n_sample={fixed.n_sample}"
        )
    return fixed


def trainer_of(
    network: Network, support: NDArray[np.int64], engine: str, device: torch.device
) -> tuple[Trainer, str]:
    """A trainer of the network's parameters, and the name of its engine.

    Raises:
        ParameterError: a named engine that does not support an option.
    """
    config, spec = network.config, network.spec
    optimiser = OPTIMISERS[config.adapt](config)
    chosen = choice.for_training(engine, spec, optimiser, config, device, torch.float32)
    if config.precision != "auto":
        logger.info("precision %r: %s", config.precision, chosen.products(config, device))
    counts = torch.from_numpy(support).to(device)
    return chosen.trainer(spec, network.parameter_dict(), optimiser, config, counts), chosen.name


def schedule_of(config: Config, first_epoch: int, n_epochs: int, n_pairs: int) -> Schedule:
    """The learning rates of the epochs from `first_epoch`, of `n_pairs` pairs each.

    Raises:
        ParameterError: a warm-up that is longer than the training.
    """
    base = OPTIMISERS[config.adapt](config).learning_rate
    return Schedule(config, base, first_epoch, n_epochs, n_pairs)


def block_steps_of(config: Config, sample_cache_max_size: int) -> int:
    """Most steps of a block whose negatives fit `sample_cache_max_size`, at least one."""
    return max(1, min(DEFAULT_BLOCK_STEPS, sample_cache_max_size // max(1, config.n_sample)))


def warn_of_pitfalls(sessions: Sessions, config: Config, stacklevel: int) -> None:
    """Warn of sessions that train nothing, and of a learning rate that has no effect."""
    if sessions.n_single:
        warnings.warn(
            f"{sessions.n_single} of {sessions.n_sessions} sessions have a single event: they "
            "have no next item and train nothing",
            stacklevel=stacklevel,
        )
    if config.adapt == "adadelta" and config.learning_rate != 1.0:
        warnings.warn(
            f"adapt='adadelta' takes learning_rate=1, not {config.learning_rate}: pass "
            "learning_rate=1 to say so",
            stacklevel=stacklevel,
        )


@contextmanager
def naming_sizes(config: Config, n_items: int) -> Iterator[None]:
    """A block whose lack of memory becomes a MemoryError that names the sizes."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        # PyTorch has no error of its own for sizes that cannot be allocated.
        if not isinstance(error, MemoryError) and not re.search(
            "allocate|out of memory|size calculation overflow", str(error)
        ):
            raise
        raise MemoryError(
            f"not enough memory for {n_items} items with layers={as_text(config.layers)}, "
            f"embedding={config.embedding}, batch_size={config.batch_size}, "
            f"n_sample={config.n_sample}: choose smaller ones"
        ) from error
