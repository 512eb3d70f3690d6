"""`torchrun -m gru4rec_fast train`: the command as one of several ranks."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = ("train",)
"""Those that several ranks run together."""
LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets, and other launchers do too."""


@contextmanager
def process_group(command: str) -> Iterator[None]:
    """A block with the process group that a launcher asks for; with one rank there is none.

    Raises:
        ParameterError: the command is not for several ranks, or a launcher has set only some of
            the variables.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    missing = [name for name in LAUNCHED if name not in os.environ]
    if size > 1 and missing and command in COMMANDS:
        raise ParameterError(
            f"WORLD_SIZE is {size}, but {', '.join(missing)} is not set: each process would train "
            "a model of its own. Start them by torchrun, or unset WORLD_SIZE"
        )
    if size == 1 or missing:
        yield
        return
    if command not in COMMANDS:
        raise ParameterError(
            f"{command} was started by {size} processes: only {', '.join(COMMANDS)} shares its "
            f"work among them. Start {command} without torchrun"
        )
    import torch.distributed as dist
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    # After a restart torchrun's store still has the addresses of the processes before, and gloo
    # would wait for those (pytorch/pytorch#135712): each life has keys of its own.
    store, rank, size = next(rendezvous("env://"))
    life = PrefixStore(f"life-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    dist.init_process_group("gloo", store=life, rank=rank, world_size=size)
    try:
        with warnings.catch_warnings():
            if not is_first():
                warnings.simplefilter("ignore")  # rank 0 gives the same ones
            yield
    finally:
        dist.destroy_process_group()


def is_first() -> bool:
    """Whether this process prints and writes files: it is rank 0, or the only one."""
    from gru4rec_fast.distributed.ranks import Ranks

    ranks = Ranks.current()
    return ranks is None or ranks.is_first
