"""A picture of a search: the trials in order, their epochs, and what mattered."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from gru4rec_fast.tuning.result import Tuned


def draw(tuned: Tuned, path: str | os.PathLike[str]) -> None:
    """Write it as PNG.

    Raises:
        ImportError: matplotlib is not installed; the message names the extra.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "the picture needs matplotlib: pip install 'gru4rec-fast[plot]'"
        ) from error
    columns = 3 if tuned.importance else 2
    figure = Figure(figsize=(5 * columns, 4), layout="constrained")
    history, epochs, *rest = figure.subplots(1, columns)

    done = tuned.trials[tuned.trials["state"] == "complete"].sort_values("number")
    history.plot(done["number"], done["value"].cummax(), color="0.6", label="best so far")
    for label, rows, marker in (
        ("trial", done[done["preset"].isna()], "o"),
        ("published settings", done[done["preset"].notna()], "s"),
    ):
        if len(rows):
            history.scatter(rows["number"], rows["value"], marker=marker, label=label, s=22)
    history.set_xlabel("trial")
    history.set_ylabel(f"{tuned.measure}, validation")
    history.xaxis.get_major_locator().set_params(integer=True)
    # Above the axes: within them it would hide trials.
    history.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize="small", frameon=False
    )

    states = tuned.trials.set_index("number")["state"]
    for number, curve in tuned.curves.items():
        best = number == tuned.best.number
        complete = states.get(number) == "complete"
        epochs.plot(
            list(curve),
            list(curve.values()),
            color="C3" if best else "C0" if complete else "0.75",
            linewidth=2 if best else 1,
            marker=".",
            zorder=2 + best,
        )
    epochs.set_xlabel("epoch (red: the best trial, grey: stopped early)")
    epochs.set_ylabel(f"{tuned.measure}, validation")
    epochs.xaxis.get_major_locator().set_params(integer=True)
    if rest:
        shares = dict(reversed(tuned.importance.items()))
        rest[0].barh(list(shares), list(shares.values()))
        rest[0].set_xlabel("importance (share of the explained variance)")
    figure.suptitle(f"{len(tuned.trials)} trials, best {tuned.measure} {tuned.best.value:.4f}")
    figure.savefig(path, format="png", dpi=120)
