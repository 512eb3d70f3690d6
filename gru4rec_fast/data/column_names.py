"""The names of a log's columns: a model knows those of its training log, and they are the default.

Names are kept as arguments: item_key, session_key and time_key, where None is no time column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ModelsColumn(str):
    """The default of such an argument: the model's name of the column, else this one.

    It equals the plain name, which scripts may compare it with. A name that a caller passes is
    told from it by its type, so that 'ItemId' can be asked for where the model has another name.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<the model's, else {str(self)!r}>"


ITEM_KEY, SESSION_KEY, TIME_KEY = map(ModelsColumn, ("ItemId", "SessionId", "Time"))


def resolved(known: Mapping[str, str | None], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments given, with the known names in place of defaults."""
    return {
        argument: known.get(argument, str(name)) if isinstance(name, ModelsColumn) else name
        for argument, name in given.items()
    }


def known_columns(model: Any) -> dict[str, str | None]:
    """What a model, or another implementation's, knows of its training log's columns."""
    columns = getattr(getattr(model, "data_iterator", None), "columns", None)
    return dict(columns) if isinstance(columns, dict) else {}
