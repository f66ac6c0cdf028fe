"""The lake is looked after from the shell, and what a training set was made of is never removed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_data import week, write_small_model

from flows.exit_codes import DONE, FAILED, USAGE
from flows.features.housekeeping import compact_lake, vacuum_lake
from flows.ingest import ingest
from flows.train import train
from flows.wiring import running
from incumbent.command import main
from lifecycle.errors import UnreachableError
from lifecycle.moments import iso, parse_moment
from mlflow_plugins.named_tables import named_versions

LONG_AFTER = parse_moment("2200-01-01T00:00Z")
TABLE, LATER_TABLE = "sources/questions", "sources/questions.answered_at"


@pytest.fixture
def trained(tmp_path: Path, small_loop: Callable[..., Any]) -> Any:
    """A loop that trained on the first of four batches, and has been compacted since; with the run that trained."""
    path = write_small_model(tmp_path)
    with running(small_loop()) as loop:
        ingest(str(path), iso(week(5)))
        ingest(str(path), iso(week(6)))
        run = train(str(path), iso(week(6))).ids["mlflow_run_id"]
        for number in (6.5, 7, 8):
            ingest(str(path), iso(week(number)))
        compact_lake(loop)
        yield loop, run


def files_of(loop: Any, table: str) -> set[str]:
    return {path.name for path in (Path(loop.lake.root) / table).glob("*.parquet")}


def load(loop: Any, run: str) -> Any:
    import mlflow

    (logged,) = loop.tracker.connection.client.get_run(run).inputs.dataset_inputs
    return mlflow.data.get_source(logged).load()


def test_a_vacuum_tells_first_and_keeps_what_training_sets_name(trained: Any) -> None:
    loop, run = trained
    learned = load(loop, run)
    before = files_of(loop, TABLE)

    told = vacuum_lake(loop, LONG_AFTER).facts
    assert files_of(loop, TABLE) == before
    done = vacuum_lake(loop, LONG_AFTER, remove=True).facts

    assert {row["table"]: row for row in told["tables"]} == {row["table"]: row for row in done["tables"]}
    rows = {row["table"]: row for row in done["tables"]}
    named = named_versions(loop.registry.connection, loop.registry, loop.lake.root)
    assert rows[TABLE]["named_versions"] == sorted(named[TABLE]) == [1]
    assert rows[TABLE]["files"] == len(before) - len(files_of(loop, TABLE)) == 3
    assert rows[TABLE]["bytes"] > 0
    loop.lake._held.clear()
    assert load(loop, run).equals(learned)


def test_a_run_that_mlflow_deleted_is_still_named_and_so_is_a_version_without_run(trained: Any) -> None:
    loop, run = trained
    expected = named_versions(loop.registry.connection, loop.registry, loop.lake.root)
    assert set(expected) == {TABLE, LATER_TABLE}

    loop.tracker.connection.client.delete_run(run)
    assert named_versions(loop.registry.connection, loop.registry, loop.lake.root) == expected
    loop.tracker.connection.client._tracking_client.store._hard_delete_run(run)
    assert named_versions(loop.registry.connection, loop.registry, loop.lake.root) == expected
    assert named_versions(loop.registry.connection, loop.registry, "/another/lake") == expected


def test_nothing_is_removed_when_mlflow_cannot_say_what_is_named(trained: Any) -> None:
    loop, _ = trained
    before = files_of(loop, TABLE)
    database = Path(loop.settings.tracking_uri.removeprefix("sqlite:///"))
    database.rename(database.with_suffix(".gone"))
    database.mkdir()
    loop.tracker.connection.client._tracking_client.store.engine.dispose()

    with pytest.raises(UnreachableError):
        vacuum_lake(loop, LONG_AFTER, remove=True)

    assert files_of(loop, TABLE) == before


def test_the_lake_from_the_shell(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_settings: Callable[[Path], Any],
    prefect_api: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    small_settings(tmp_path / ".incumbent")
    (tmp_path / "incumbent.toml").write_text(f'[prefect]\napi_url = "{prefect_api}"\n')
    write_small_model(tmp_path)
    monkeypatch.chdir(tmp_path)
    for number in (5, 6, 7):
        assert main(["ingest", ".", "--as-of", iso(week(number))]) == DONE
    capsys.readouterr()

    assert main(["lake", "compact", TABLE, "--json"]) == DONE
    (row,) = json.loads(capsys.readouterr().out)["facts"]["tables"]
    assert row == {"table": TABLE, "files_before": 3, "files_after": 1}
    for path in (tmp_path / ".incumbent" / "lake").rglob("*"):
        os.utime(path, (time.time() - 8 * 86_400,) * 2)
    assert main(["lake", "vacuum"]) == DONE
    assert "would be removed" in capsys.readouterr().out
    assert main(["lake", "vacuum", "--remove", "--json"]) == DONE
    rows = {row["table"]: row for row in json.loads(capsys.readouterr().out)["facts"]["tables"]}
    assert rows[TABLE]["files"] == 3
    assert main(["lake", "compact", "sources/nothing"]) == FAILED
    assert "There is no table 'sources/nothing'" in capsys.readouterr().err
    assert main(["lake", "vacuum", "--older-than", "long"]) == USAGE
    assert "'long' cannot be read" in capsys.readouterr().err
