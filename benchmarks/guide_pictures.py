"""Draw the pictures of the guide, docs/guide/*.png, by the commands that its pages describe.

    python -m benchmarks.guide_pictures

All show the sessions that `gru4rec-fast demo` generates.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "guide-pictures"
GUIDE = ROOT / "docs" / "guide"
LOGS = ("demo/generated-train.tsv", "demo/generated-test.tsv")
SETTINGS = ("layers=64", "n_sample=512", "n_epochs=5", "learning_rate=0.1", "sample_alpha=0")
SPACE = """\
{"name": "learning_rate", "dtype": "float", "values": [0.005, 0.2], "log": true}
{"name": "dropout_p_hidden", "dtype": "float", "values": [0.0, 0.5], "step": 0.1}
{"name": "loss", "dtype": "categorical", "values": ["cross-entropy", "bpr-max"]}
"""
COMMANDS = {
    "demo.png": ("demo", "--out", "demo"),
    "learning-curve.png": (
        "train", LOGS[0], "--save", "model.safetensors", "--set", *SETTINGS,
        "--validation", LOGS[1], "--learning-curve", "learning-curve.png",
    ),
    "comparison.png": ("compare", *LOGS, "--set", *SETTINGS, "--out", "comparison"),
    "study.png": (
        "tune", *LOGS, "-opf", "space.json", "-nt", "24", "--out", "search",
        "-fp", "layers=64,n_sample=512,n_epochs=5,sample_alpha=0",
    ),
}  # fmt: skip
"""Picture of the guide -> the command that draws it."""
DRAWN = {
    "demo.png": "demo/learning-curve.png",
    "learning-curve.png": "learning-curve.png",
    "comparison.png": "comparison/comparison.png",
    "study.png": "search/study.png",
}
"""Picture of the guide -> the file that its command writes."""


def main() -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    (WORK / "space.json").write_text(SPACE, encoding="utf-8")
    for picture, command in COMMANDS.items():
        subprocess.run([sys.executable, "-m", "gru4rec_fast", *command], cwd=WORK, check=True)
        shutil.copyfile(WORK / DRAWN[picture], GUIDE / picture)


if __name__ == "__main__":
    main()
