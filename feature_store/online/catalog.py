"""What the online store holds of each view: which records, of what types, and how much of the lake is in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass

import polars as pl

from feature_store.online.plan import VIEW_BYTES, Part
from feature_store.online.store import OnlineStore
from feature_store.storage.stored_types import TYPES

_PREFIX = b"\x00view"
_TYPES: dict[str, pl.DataType] = {str(one): one() if isinstance(one, type) else one for one in TYPES}


@dataclass(frozen=True, slots=True)
class Shape:
    """The types of one set of records, by column.

    Attributes:
        key: of the columns by which an entity is found.
        inputs: of what is packed into a record.
        features: of the answers.
        own: of the columns that identify a row, where a question may be a row itself.
    """

    key: Mapping[str, str]
    inputs: Mapping[str, str]
    features: Mapping[str, str]
    own: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Build:
    """One set of records of a view.

    Attributes:
        ending: of their keys, in hexadecimal; other types have another one.
        as_of: microseconds since 1970 (UTC): what was available by then is in the records.
        heights: of that, the first so many rows that were ingested into each table.
        reached: in hexadecimal, the last key written by a run that is under way.
    """

    ending: str
    shape: Shape
    as_of: int
    heights: Mapping[str, int]
    reached: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One view in the store.

    Attributes:
        told: the view, for messages.
        serving: the records that are read; None until the first run is through.
        building: the run that is under way, on the same records or beside them.
    """

    told: str
    source: str
    serving: Build | None = None
    building: Build | None = None

    def encoded(self) -> bytes:
        """As it is stored."""
        return json.dumps(asdict(self)).encode()


def entry_key(view: bytes) -> bytes:
    """Where the entry of a view is stored."""
    return _PREFIX + view


def entries(parts: Iterable[Part], store: OnlineStore) -> list[Entry | None]:
    """The entries of some views; None for what the store does not know."""
    return [None if raw is None else _decoded(raw) for raw in store.get_many([entry_key(part.view) for part in parts])]


def every_entry(store: OnlineStore) -> Iterator[tuple[bytes, Entry]]:
    """All views of the store with their entries."""
    for key, raw in store.scan(_PREFIX):
        yield key[-VIEW_BYTES:], _decoded(raw)


def type_texts(types: Mapping[str, pl.DataType], names: Iterable[str]) -> dict[str, str]:
    """Some types as texts."""
    return {name: str(types[name]) for name in names}


def types_of(texts: Mapping[str, str]) -> dict[str, pl.DataType]:
    """Types from their texts."""
    return {name: _TYPES[text] for name, text in texts.items()}


def _decoded(raw: bytes) -> Entry:
    fields = json.loads(raw)
    return Entry(fields["told"], fields["source"], _build(fields["serving"]), _build(fields["building"]))


def _build(fields: dict[str, object] | None) -> Build | None:
    if fields is None:
        return None
    shape = fields.pop("shape")
    return Build(shape=Shape(**shape), **fields)  # type: ignore[arg-type]
