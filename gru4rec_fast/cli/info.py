"""`gru4rec-fast info`: what a model file holds, and what would compute it on this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import torch

from gru4rec_fast import _core
from gru4rec_fast.cli.options import add_device
from gru4rec_fast.engines import choice
from gru4rec_fast.engines.device import resolve_device
from gru4rec_fast.model.description import as_lines, describe
from gru4rec_fast.model.loaded_model import load_model
from gru4rec_fast.reference import OPTIMISERS

if TYPE_CHECKING:
    import argparse

    from gru4rec_fast.model.network import Network


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.description = (
        "What a model file holds (parameters, sizes, items, columns), and the engine and "
        "instruction set that would run it here."
    )
    parser.add_argument("model", metavar="MODEL", help="a saved model")
    parser.add_argument("--json", action="store_true", help="print JSON, with all parameters")
    add_device(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    device = resolve_device(options.device)
    loaded = load_model(options.model)
    about = describe(options.model, loaded) | {"machine": machine(loaded.network, device)}
    print(json.dumps(about, indent=2) if options.json else as_lines(about))
    return 0


def machine(network: Network, device: torch.device) -> dict[str, Any]:
    """Device, engine of a training ('auto'), how it multiplies, instruction set, and threads."""
    config = network.config
    engine = choice.for_training(
        "auto", network.spec, OPTIMISERS[config.adapt](config), config, device, torch.float32
    )
    found: dict[str, Any] = {"device": str(device), "engine": engine.name}
    if engine.name == "cpu":
        found["instruction set"] = _core.instruction_set()
    found["products"] = f"precision {config.precision!r}: {engine.products(config, device)}"
    return found | {"threads": torch.get_num_threads()}
