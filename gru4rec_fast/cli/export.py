"""`gru4rec-fast export`: a saved model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gru4rec_fast.errors import ParameterError
from gru4rec_fast.gru4rec import GRU4Rec

if TYPE_CHECKING:
    import argparse

SUFFIX = ".onnx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the command."""
    parser.add_argument("model", help="a saved model")
    parser.add_argument("-o", "--out", required=True, metavar="FILE", help="the file, NAME.onnx")
    outputs = parser.add_mutually_exclusive_group()
    outputs.add_argument("-k", type=int, default=20, help="how many best items (default: 20)")
    outputs.add_argument(
        "--all-scores", action="store_true", help="the scores of all items, not the best ones"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status.

    Raises:
        ParameterError: the file's name is no ONNX file's, or onnx is not installed.
        CheckpointError: the model cannot be read, or the file cannot be written.
    """
    # A mistyped name must not replace a model or a log.
    if Path(options.out).suffix != SUFFIX:
        raise ParameterError(f"--out {options.out}: expected a name that ends in {SUFFIX}")
    gru = GRU4Rec.loadmodel(options.model, "cpu")
    try:
        gru.export_onnx(options.out, None if options.all_scores else options.k)
    except ImportError as error:
        raise ParameterError(str(error)) from error
    print(f"Saved {options.out}")
    return 0
