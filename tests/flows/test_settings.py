"""Where things run: the file, the variables, and what wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.errors import SettingsError
from flows.settings import read_settings, set_environment


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_file_everything_lies_in_the_current_folder(here: Path) -> None:
    settings = read_settings()

    assert settings.folder == here / ".incumbent"
    assert settings.lake_root == str(here / ".incumbent" / "lake")
    assert settings.ledger_url == f"sqlite:///{here / '.incumbent' / 'ledger.db'}"
    assert settings.tracking_uri == f"sqlite:///{here / '.incumbent' / 'mlflow' / 'mlflow.db'}"
    assert settings.online_url == str(here / ".incumbent" / "online")


def test_the_nearest_file_above_counts_and_the_state_lies_beside_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "incumbent.toml").write_text('[lake]\nroot = "s3://bucket/lake"\n')
    (here / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(here / "deep" / "er")

    assert read_settings().lake_root == "s3://bucket/lake"
    assert read_settings().folder == here / ".incumbent"


def test_variables_win_over_the_file_key_by_key(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "incumbent.toml").write_text("[servers]\nmlflow_port = 5001\nprefect_port = 4201\n")
    monkeypatch.setenv("INCUMBENT_SERVERS__MLFLOW_PORT", "5002")
    monkeypatch.setenv("INCUMBENT_STATE__FOLDER", str(here / "elsewhere"))

    settings = read_settings()

    assert (settings.servers.mlflow_port, settings.servers.prefect_port) == (5002, 4201)
    assert settings.folder == here / "elsewhere"


def test_secrets_show_as_stars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCUMBENT_LEDGER__URL", "postgresql://user:hunter2@host/db")
    monkeypatch.setenv("INCUMBENT_LAKE__OPTIONS__SECRET", "hunter2")
    monkeypatch.setenv("INCUMBENT_ONLINE__URL", "redis://:hunter2@host:6379/0")

    settings = read_settings()

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
    assert settings.ledger_url == "postgresql://user:hunter2@host/db"
    assert settings.online_url == "redis://:hunter2@host:6379/0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lake]\nrot = 1\n", "lake.rot: Extra inputs are not permitted"),
        ("[lakes]\nroot = 'x'\n", "lakes: Extra inputs are not permitted"),
        ("[servers]\nworkers = 'many'\n", "servers.workers"),
        ("[servers\n", "Expected"),
        ("state = 'here'\n", "state"),
    ],
)
def test_what_no_setting_knows_is_named_with_its_file(here: Path, text: str, message: str) -> None:
    (here / "incumbent.toml").write_text(text)

    with pytest.raises(SettingsError) as caught:
        read_settings()

    assert str(here / "incumbent.toml") in str(caught.value)
    assert message in str(caught.value)
    assert "docs/reference/settings.md" in str(caught.value)


def test_a_profile_that_is_not_there_is_refused(here: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere.toml: there is no such file"):
        read_settings(here / "nowhere.toml")


def test_nothing_reports_home(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "GX_ANALYTICS_ENABLED"):
        monkeypatch.delenv(name, raising=False)
    set_environment(read_settings())

    assert (os.environ["DO_NOT_TRACK"], os.environ["MLFLOW_DISABLE_TELEMETRY"]) == ("1", "true")
    assert (os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"], os.environ["GX_ANALYTICS_ENABLED"]) == ("false", "false")


@pytest.mark.parametrize(("every", "problem"), [("often", "'often'"), ("0h", "'0h' is no time at all")])
def test_how_often_online_is_brought_up_must_be_a_length_of_time(here: Path, every: str, problem: str) -> None:
    (here / "incumbent.toml").write_text(f'[online]\nevery = "{every}"\n')

    with pytest.raises(SettingsError, match=f"online.every: .*{problem}"):
        read_settings()
