"""Parameter files: the literals of a Python file, or JSON. Nothing of a file is ever executed."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gru4rec_fast.errors import ParameterError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "gru4rec_params"


def read_parameter_file(path: Path) -> dict[str, Any]:
    """The parameters of a file, by name.

    A `.json` file holds an object of names and values, or one of `tune` with such an object under
    'params'. Any other file is Python with `gru4rec_params = ...`, where the right side is a dict
    display, or dict or OrderedDict of one, of a list of pairs, or of keywords; of literals alone.

    Raises:
        ParameterError: no such file, or it does not define the parameters in this way.
    """
    if not path.is_file():
        raise ParameterError(f"no parameter file {path}; expected a Python or JSON file")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ParameterError(f"{path} cannot be read ({error}); expected a text file") from error
    if path.suffix.lower() == ".json":
        return _of_json(text, path)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise ParameterError(
            f"{path} is no Python ({type(error).__name__}: {error}); expected {_example()}"
        ) from error
    for statement in reversed(tree.body):
        targets = statement.targets if isinstance(statement, ast.Assign) else (
            [statement.target] if isinstance(statement, ast.AnnAssign) else []
        )  # fmt: skip
        value = getattr(statement, "value", None)
        if value is not None and any(isinstance(t, ast.Name) and t.id == NAME for t in targets):
            return _of_node(value, path)
    raise ParameterError(f"{path} defines no dict {NAME}; expected {_example()}")


def _of_json(text: str, path: Path) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParameterError(
            f"{path} is no JSON ({error}); expected an object as "
            '{"loss": "cross-entropy", "layers": [100]}'
        ) from error
    params = read.get("params", read) if isinstance(read, dict) else read
    if not isinstance(params, dict):
        raise ParameterError(f"{path} holds a {type(params).__name__}; expected a JSON object")
    return params


def _of_node(node: ast.expr, path: Path) -> dict[str, Any]:
    keywords: dict[str, Any] = {}
    try:
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in (
            "dict",
            "OrderedDict",
        ):
            keywords = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords if k.arg}
            if len(keywords) < len(node.keywords) or len(node.args) > 1:
                raise ValueError("of literals alone")
            positional = ast.literal_eval(node.args[0]) if node.args else {}
        else:
            positional = ast.literal_eval(node)
            if not isinstance(positional, Mapping):
                raise ValueError("a dict")
        params = dict(positional) | keywords
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise ParameterError(
            f"{path}: {NAME} in line {node.lineno} is no dict of literals; the file is read, not "
            f"executed: expected {_example()}"
        ) from error
    return {str(name): value for name, value in params.items()}


def _example() -> str:
    return f"{NAME} = OrderedDict([('loss', 'cross-entropy'), ...])"
