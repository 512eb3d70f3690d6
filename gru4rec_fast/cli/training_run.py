"""What `train` and `update` share: how a training is saved, followed, interrupted and ended."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gru4rec_fast.cli import learning_curve
from gru4rec_fast.cli.model_file import ModelFile, shows_progress
from gru4rec_fast.cli.stop_signals import StopSignals
from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from gru4rec_fast.gru4rec import GRU4Rec
    from gru4rec_fast.training.report import BlockReport, EpochReport


def add_training(parser: argparse.ArgumentParser) -> None:
    """The flags of how a training is saved and followed."""
    add = parser.add_argument
    add(
        "--checkpoint",
        metavar="DIR",
        help="save the training in this folder; SIGTERM and Ctrl-C then save and leave",
    )
    add(
        "--checkpoint-every",
        metavar="TIME",
        default="5m",
        help="how often: a time as 30s, 5m, 1h, or a number of steps (default: 5m)",
    )
    add("--resume", action="store_true", help="go on with the training in DIR, if there is one")
    add("--tensorboard", metavar="DIR", help="write scalars for TensorBoard to this folder")
    add(
        "--learning-curve",
        metavar="FILE",
        help="draw loss and validation figure by epoch: .png, .svg or .pdf",
    )
    add("--quiet", action="store_true", help="no progress bar and no line for each epoch")


class TrainingRun:
    """A training as the flags of `add_training` say, saved to a file after each epoch.

    Raises:
        ParameterError: a package is missing, or the learning curve cannot be drawn.
    """

    def __init__(self, gru: GRU4Rec, options: argparse.Namespace, file: ModelFile) -> None:
        self._gru, self._options, self._file = gru, options, file
        self._signals = StopSignals()
        self._stopped = False
        if options.tensorboard:
            _require_tensorboard()
        if options.learning_curve:
            learning_curve.require_drawable(Path(options.learning_curve))

    @property
    def arguments(self) -> dict[str, Any]:
        """Of `fit` and `partial_fit`."""
        options = self._options
        return {
            "checkpoint": options.checkpoint,
            "checkpoint_every": options.checkpoint_every,
            "resume": options.resume,
            "tensorboard": options.tensorboard,
            "on_epoch": self._on_epoch,
            "on_block": self._on_block,
            "progress": shows_progress() and not options.quiet,
        }

    @contextmanager
    def training(self) -> Iterator[None]:
        """The block that trains."""
        with self._file.training(), self._signals if self._options.checkpoint else nullcontext():
            yield

    def status(self) -> int | None:
        """The exit status of a training that ended early, said on standard error; else None."""
        if self._stopped:
            print(
                "gru4rec-fast: interrupted; the training is saved in "
                f"{self._options.checkpoint}: go on with the same command and --resume",
                file=sys.stderr,
            )
            return self._signals.status
        if self._gru.error_during_train:
            print(f"gru4rec-fast: {self._file.kept}", file=sys.stderr)
            return 1
        return None

    def draw(self, metric: str | None = None) -> None:
        """Draw the learning curve if asked to, with a validation figure as 'recall@20'."""
        if self._options.learning_curve:
            path = Path(self._options.learning_curve)
            learning_curve.draw_history(path, self._gru.history, metric)
            print(f"Learning curve: {path}")

    def _on_block(self, _: BlockReport) -> bool:
        self._stopped = self._stopped or self._signals.received is not None
        return self._stopped

    def _on_epoch(self, report: EpochReport) -> bool:
        if not self._options.quiet:
            figures = "  ".join(f"{name} {value:.4f}" for name, value in report.validation.items())
            print(report, figures, sep="\n" * bool(figures), flush=True)
        self._file.save(self._gru, report)
        self._stopped = self._stopped or self._signals.received is not None
        return self._stopped


def _require_tensorboard() -> None:
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise ParameterError(
            "--tensorboard needs TensorBoard: pip install 'gru4rec-fast[tensorboard]'"
        ) from error
