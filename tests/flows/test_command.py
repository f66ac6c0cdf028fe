"""The command: what it prints, what it exits with, and that no secret leaves it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from small_data import week, write_small_model

from flows.exit_codes import DATA_SAID_NO, DONE, FAILED, GATE_SAID_NO, USAGE
from incumbent.command import parser
from lifecycle.moments import iso

NOW, LATER = iso(week(6)), iso(week(7))
Run = Callable[..., tuple[int, str, str]]


def test_the_loop_by_its_verbs(run: Run, home: Path) -> None:
    """From `check` to `rollback` as a user types it; each answers as text or, with --json, as one JSON object."""
    code, told, _ = run("check", "model.py")
    assert code == DONE
    assert [line.split() for line in told.splitlines() if line.split()[0] == "leaks"] == [["leaks", "none", "found"]]

    code, told, _ = run("ingest", "model.py", "--as-of", NOW, "--json")
    assert (code, json.loads(told)["facts"]["questions"]) == (DONE, "2,960 new rows, 0 quarantined")

    code, told, _ = run("train", "model.py", "--as-of", NOW, "--json")
    trained = json.loads(told)
    assert (code, trained["facts"]["action"], trained["facts"]["version"]) == (DONE, "promote", 1)
    assert set(trained["ids"]) == {"mlflow_run_id", "flow_run_id"}

    assert run("ingest", ".", "--as-of", LATER)[0] == DONE
    for verb in ("score", "monitor", "decide"):
        code, told, _ = run(verb, "model.py:small", "--as-of", LATER, "--json")
        assert (code, json.loads(told)["verb"]) == (DONE, verb)

    code, _, error = run("train", "model.py", "--as-of", LATER)  # no better than the champion: the gate says no
    assert (code, error.startswith("incumbent: Model 'small': challenger 2")) == (GATE_SAID_NO, True)
    assert "The champion stays" in error

    code, told, _ = run("promote", "model.py", "2", "--as-of", LATER, "--reason", "the shop asked for it")
    assert (code, "the shop asked for it" in told) == (DONE, True)
    code, told, error = run("rollback", "model.py", "--as-of", LATER, "--reason", "it was wrong", "--json")
    assert (code, json.loads(told)["facts"]["action"]) == (DONE, "rollback")

    tell_why(run)


def tell_why(run: Run) -> None:
    code, told, _ = run("why", "model.py", "--json")
    decisions = json.loads(told)["facts"]
    assert code == DONE
    by_hand = [text for text in decisions.values() if "the shop asked" in text or "it was wrong" in text]
    assert by_hand == ["promote: the shop asked for it", "rollback: it was wrong"]
    assert [text.split(" from")[0] for name, text in decisions.items() if name.startswith("epoch")] == [
        "version 1",
        "version 2",
        "version 1",
    ]
    last = next(name.split()[1] for name, text in decisions.items() if "it was wrong" in text)
    code, told, _ = run("why", "model.py", last[:10], "--json")
    facts = json.loads(told)["facts"]
    assert (code, facts["action"], facts["because"]) == (DONE, "rollback", "it was wrong")
    assert facts["policy"] == "a person"
    assert facts["by"]
    code, told, _ = run("why", "model.py", "2")
    assert code == DONE
    assert "REFUSED" in told


def test_quarantined_rows_are_shown_with_reason_and_value(run: Run, home: Path) -> None:
    assert run("quarantine", "model.py")[:2] == (DONE, "0 quarantined rows\n\n")
    write_small_model(home, source='expect=[within("signal", -50, 50)]')
    rows = pl.read_parquet(home / "questions.parquet")
    rows.with_columns(signal=pl.when(pl.col("id") == 7).then(1048.0).otherwise("signal")).write_parquet(
        home / "questions.parquet"
    )

    assert run("ingest", "model.py", "--as-of", NOW)[0] == DONE
    code, told, _ = run("quarantine", "model.py", "--json")

    (row,) = json.loads(told)
    assert code == DONE
    assert (row["source"], row["column"], row["value"]) == ("questions", "signal", "1048.0")
    assert "within [-50, 50]" in row["reason"]
    assert "1048.0" in run("quarantine", "model.py")[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["learn", "model.py"], USAGE, "invalid choice: 'learn'"),
        (["train"], USAGE, "the following arguments are required: MODEL"),
        (["train", "model.py", "--at", NOW], USAGE, "unrecognized arguments"),
        (["promote", "model.py", "--reason", "x"], USAGE, "required: version"),
        (["promote", "model.py", "1"], USAGE, "required: --reason"),
        (["train", "absent.py"], USAGE, "there is no such file. Name a .py file"),
        (["train", "model.py:other"], USAGE, "it has no Model 'other'; it holds ['small']"),
        (["train", "model.py", "--as-of", "2021-04-12"], USAGE, "'2021-04-12' is not a moment with a time zone"),
        (["train", "model.py", "--as-of", ""], USAGE, "'' is not a moment with a time zone"),
        (["replay", "model.py", "--from", "2021", "--to", NOW], USAGE, "'2021' is not a moment with a time zone"),
        (["init", "absent.csv", "--output", "other.py"], USAGE, "there is no such data file"),
        (["init", "questions.parquet"], USAGE, "model.py cannot be used as a model file: it is there already"),
        (["why", "model.py", "77"], USAGE, "No decision or version 'version 77' among 0 decisions"),
        (["why", "model.py", "abcdef"], USAGE, "No decision or version 'abcdef' among 0 decisions"),
        (["promote", "model.py", "7", "--reason", "x"], USAGE, "has no version 7; it has []"),
        (["score", "model.py", "--as-of", NOW], FAILED, "has no champion yet"),
        (["monitor", "model.py", "--as-of", NOW], FAILED, "has no champion yet"),
        (["train", "model.py", "--as-of", NOW], FAILED, "Ingest the source first"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_by_the_exit_code(
    run: Run, arguments: list[str], code: int, message: str
) -> None:
    found, told, error = run(*arguments)

    assert (found, told) == (code, "")
    assert message in error
    assert "Traceback" not in error


def test_data_that_does_not_fit_exits_with_4(run: Run, home: Path) -> None:
    rows = pl.read_parquet(home / "questions.parquet")
    rows.drop("signal").write_parquet(home / "questions.parquet")
    code, _, error = run("check", "model.py")
    assert (code, "lacks ['signal']" in error) == (DATA_SAID_NO, True)

    rows.head(0).write_parquet(home / "questions.parquet")
    assert run("ingest", "model.py", "--as-of", NOW)[0] == DONE
    code, _, error = run("train", "model.py", "--as-of", NOW)
    assert (code, "at least 50 are needed" in error) == (DATA_SAID_NO, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_that_name", "line 1: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("x = (", "SyntaxError"),
        ("\nx = 1 / 0", "line 2: ZeroDivisionError"),
        ("from incumbent import Source\nSource('a', read=print)", "line 2: TypeError"),
        ("from incumbent import Source\nSource('a', read=print, key='id')", "source 'a': event_time is not given"),
        ("from incumbent import Sauce", "ImportError"),
        ("from incumbent import Policy\nPolicy(every='weekly')", "'weekly' is not a length of time"),
    ],
)
def test_a_model_file_that_does_not_load_says_where(run: Run, home: Path, text: str, message: str) -> None:
    (home / "model.py").write_text(text + "\n")

    code, told, error = run("check", "model.py")

    assert (code, told) == (USAGE, "")
    assert message in error


def test_a_model_file_may_hold_classes_of_its_own(run: Run, home: Path) -> None:
    text = (home / "model.py").read_text()
    shape = "@dataclass\nclass Shape:\n    rows: int = 4\n\n\nmodel = Model("
    head = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    (home / "model.py").write_text(head + text.split('"""', 2)[2].replace("model = Model(", shape))

    assert run("check", "model.py")[0] == DONE


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[lake]\nrot = 'x'\n", "lake.rot"),
        ("[like]\nroot = 'x'\n", "like"),
        ("[servers]\nmlflow_port = 'many'\n", "servers.mlflow_port"),
        ("[servers\n", "Expected"),
    ],
)
def test_a_setting_that_nobody_knows_is_refused(run: Run, home: Path, text: str, message: str) -> None:
    (home / "incumbent.toml").write_text(text)

    code, _, error = run("ingest", "model.py", "--as-of", NOW)

    assert code == USAGE
    assert message in error
    assert "docs/reference/settings.md" in error


def test_a_variable_that_nobody_knows_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCUMBENT_LAKE__ROT", "x")
    code, _, error = run("doctor")
    assert (code, "lake.rot" in error) == (USAGE, True)


def test_a_prefect_that_does_not_answer_is_said_in_one_line(run: Run, home: Path) -> None:
    (home / "incumbent.toml").write_text('[prefect]\napi_url = "http://127.0.0.1:9/api"\n')

    code, told, error = run("ingest", "model.py", "--as-of", NOW)

    assert (code, told) == (FAILED, "")
    assert error.startswith("incumbent: Prefect at http://127.0.0.1:9/api did not answer")


def test_doctor_finds_the_installation_well_and_says_what_is_not(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import doctor

    code, told, _ = run("doctor", "--json")
    facts = json.loads(told)["facts"]
    assert code == DONE
    assert not [name for name, text in facts.items() if text.startswith("WRONG")]
    assert facts["online store"].startswith("none yet")
    monkeypatch.setenv("INCUMBENT_ONLINE__URL", "redis://:secret@127.0.0.1:9/0")
    code, told, _ = run("doctor")
    assert (code, "secret" in told) == (FAILED, False)
    assert "WRONG: The online store RedisStore('redis://127.0.0.1:9/0') cannot be reached" in told
    monkeypatch.delenv("INCUMBENT_ONLINE__URL")

    monkeypatch.setattr(doctor, "version", lambda name: {"pandas": "3.0.1"}.get(name, "0.1"))
    code, told, _ = run("doctor")
    assert code == FAILED
    assert "WRONG: 3.0.1, below 3 is needed: Evidently" in told


def test_no_secret_leaves_in_text_runs_or_records(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    canary = "canary-4711"
    monkeypatch.setenv("INCUMBENT_LAKE__OPTIONS__AWS_SECRET_ACCESS_KEY", canary)
    printed = []
    for arguments in (["check"], ["ingest"], ["train"], ["score"], ["why"]):
        moment = ["--as-of", NOW] if arguments[0] not in {"check", "why"} else []
        code, told, error = run(*arguments, "model.py", *moment, "--json")
        assert code == DONE
        printed += [told, error]
    printed += [*run("doctor")[1:], *told_with_wrong_addresses(run, monkeypatch, canary)]

    assert not [text for text in printed if canary in text]
    stored = [*home.rglob("*"), *tmp_path_factory.getbasetemp().glob("prefect*/**/*")]
    assert len(stored) > 50
    assert [path for path in stored if path.is_file() and canary.encode() in path.read_bytes()] == []


def told_with_wrong_addresses(run: Run, monkeypatch: pytest.MonkeyPatch, canary: str) -> list[str]:
    from flows import running

    told: list[str] = []
    for name, value in (
        ("INCUMBENT_LEDGER__URL", f"mysql://user:{canary}@127.0.0.1/ledger"),
        ("INCUMBENT_MLFLOW__TRACKING_URI", f"http://user:{canary}@127.0.0.1:9"),
        ("INCUMBENT_MLFLOW__TRACKING_URI", f"mysql://user:{canary}@127.0.0.1/mlflow"),
        ("INCUMBENT_LEDGER__UR", f"mysql://user:{canary}@127.0.0.1/ledger"),
    ):
        running.close()
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            code, *texts = run("ingest", "model.py", "--as-of", LATER)
        assert code in {FAILED, USAGE}
        told += texts
    running.close()
    return told


def test_help_and_version(run: Run) -> None:
    code, told, _ = run("--help")
    assert code == DONE
    verbs = next(action.choices for action in parser()._actions if action.dest == "verb")
    for verb in verbs:
        assert f"    {verb}" in told
        assert run(verb, "--help")[0] == DONE
    assert run("--version")[1].startswith("incumbent 0.")
    assert run()[0] == USAGE


def test_the_command_is_installed_and_exits_with_its_code(home: Path) -> None:
    command = Path(sys.executable).with_name("incumbent")

    done = subprocess.run([command, "init", "questions.parquet", "--output", "new.py", "--json"], capture_output=True)
    again = subprocess.run([command, "init", "questions.parquet", "--output", "new.py"], capture_output=True)

    assert done.returncode == DONE
    assert json.loads(done.stdout)["facts"]["label"].startswith("won:")
    assert again.returncode == USAGE
    assert again.stderr.startswith(b"incumbent: ")
