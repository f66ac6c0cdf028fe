"""Bodies that MLflow's code answered although they are plain enough: other order, further columns, one value a row."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

Columns = dict[str, list[Any]]

_KINDS: dict[str, tuple[type, ...]] = {
    "double": (int, float), "float": (int, float), "long": (int,), "integer": (int,), "boolean": (bool,),
    "string": (str,), "datetime": (str,),
}  # fmt: skip


def columns_in(
    body: str, columns: Mapping[str, str], keys: Collection[str], hidden: Collection[str]
) -> tuple[Columns, Columns] | None:
    """The columns of the signature and the keys in a body of JSON; none where they cannot be told for sure.

    Args:
        columns: names with MLflow's types.
        keys: further columns that are kept where all of them are there.
        hidden: columns that were left out of the body.
    """
    try:
        table = _table(json.loads(body))
    except (ValueError, RecursionError):
        return None
    if table is None or not set(columns) - set(hidden) <= set(table):
        return None
    found = {name: table.get(name, []) for name in columns}
    if not all(_fits(values, _KINDS[columns[name]]) for name, values in found.items()):
        return None
    return found, {name: table[name] for name in keys} if set(keys) <= set(table) else {}


def _table(plain: Any) -> Columns | None:
    if not isinstance(plain, dict) or len(plain) != 1:
        return None
    ((form, content),) = plain.items()
    if form == "dataframe_split" and isinstance(content, dict):
        return _of_split(content.get("columns"), content.get("data"))
    if form in {"dataframe_records", "instances"}:
        return _of_records(content)
    if form == "inputs" and isinstance(content, dict) and all(isinstance(one, list) for one in content.values()):
        return dict(content)
    return None


def _of_split(names: Any, data: Any) -> Columns | None:
    if not isinstance(names, list) or not isinstance(data, list) or len(set(map(str, names))) != len(names):
        return None
    if any(isinstance(name, list | dict) for name in names):  # pandas takes them for names
        return None
    if not all(isinstance(row, list) and len(row) == len(names) for row in data):
        return None
    return {name: [row[place] for row in data] for place, name in enumerate(names)}


def _of_records(rows: Any) -> Columns | None:
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return None
    if any(set(row) != set(rows[0]) for row in rows):
        return None
    return {name: [row[name] for row in rows] for name in rows[0]}


def _fits(values: Sequence[Any], kinds: tuple[type, ...]) -> bool:
    return all(value is None or type(value) in kinds for value in values)
