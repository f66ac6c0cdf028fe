"""The lake kept small and fast: files put together, and those removed that nothing names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from flows.results import Result
from flows.wiring import Loop
from lifecycle.moments import iso
from mlflow_plugins.named_tables import named_versions


def compact_lake(loop: Loop, tables: Sequence[str] = ()) -> Result:
    """Put the small files of tables together into few; rows and earlier versions stay as they are.

    Args:
        tables: their names; without any, all tables of the lake.

    Raises:
        TableNotFoundError: there is no table of this name.
    """
    rows = []
    for table in tables or loop.lake.tables():
        done = loop.lake.compact(table)
        rows.append({"table": table, "files_before": done.files_before, "files_after": done.files_after})
    return Result("lake compact", "", "", {"tables": rows or "the lake holds none"})


def vacuum_lake(
    loop: Loop, as_of: datetime, *, older_than: str = "7d", remove: bool = False, tables: Sequence[str] = ()
) -> Result:
    """Find the files that no training set and no recent version of a table needs, and remove them where asked to.

    Kept are the newest version of each table, every version since `older_than` before `as_of`, and every version that
    a dataset logged in MLflow or a registered model version was made of.

    Args:
        remove: False only tells what would be removed.
        tables: their names; without any, all tables of the lake.

    Raises:
        UnreachableError: MLflow cannot say what is named; nothing is removed.
        TableNotFoundError: a version that is named does not exist in this lake; nothing more is removed.
    """
    named = named_versions(loop.registry.connection, loop.registry, loop.settings.lake_root)
    rows: list[dict[str, Any]] = []
    for table in tables or loop.lake.tables():
        keep = sorted(named.get(table, ()))
        found = loop.lake.vacuum(table, keep_versions=keep, as_of=as_of, older_than=older_than, dry_run=not remove)
        rows.append({"table": table, "named_versions": keep, "files": found.files, "bytes": found.bytes})
    facts: dict[str, Any] = {
        "older_than": older_than,
        "removed" if remove else "would_be_removed": f"{sum(row['files'] for row in rows):,} files",
        "bytes": sum(row["bytes"] for row in rows),
        "tables": rows or "the lake holds none",
    }
    if not remove:
        facts["next"] = "incumbent lake vacuum --remove"
    return Result("lake vacuum", "", iso(as_of), facts)
