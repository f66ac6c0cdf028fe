"""The request log as such: what is on disk when, how segments end, and what becomes of a full disk."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.served import Served
from mlflow_plugins.deployment.starting import environment
from mlflow_plugins.deployment.tier import Tier
from mlflow_plugins.errors import RequestNotLoggedError
from mlflow_plugins.request_log.asked import Asked
from mlflow_plugins.request_log.lines import Undecoded
from mlflow_plugins.request_log.options import Durability, LogOptions
from mlflow_plugins.request_log.reading import Read, read_segment
from mlflow_plugins.request_log.segment import Finished, segments
from mlflow_plugins.request_log.writer import RequestLog, model_folder

ROOT = Path(__file__).parents[3]
VALUES = [(719.0, 1400.5), ("UA", None)]
ANSWER = b'{"predictions": [[0.75, 0.25], [0.5, 0.5]]}'


def served(version: int = 3, **keys: str) -> Served:
    columns = (Column("distance", Kind.DOUBLE), Column("carrier", Kind.STRING))
    return Served("late flights/ü", version, 7, "", Tier.TYPED, columns, None, None, None, (), keys=keys)  # type: ignore[arg-type]


def log_in(folder: Path, durability: str = "write", **options: object) -> RequestLog:
    ticks = iter(range(1_000_000, 10_000_000))
    return RequestLog(
        LogOptions(folder=str(folder), durability=Durability(durability), **options),  # type: ignore[arg-type]
        clock=lambda: 1_000 * next(ticks),
    )


def stored(folder: Path) -> list[Path]:
    return segments(model_folder(folder, "late flights/ü"))


def read_all(folder: Path) -> list[Read]:
    found = []
    for path in stored(folder):
        taken = Finished.taken(path)
        assert taken is not None
        found.append(read_segment(taken.name, taken.lines()[0]))
        taken.release()
    return found


@contextmanager
def files_at_most(size: int) -> Iterator[None]:
    """A disk on which no file grows beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("durability", ["async", "write", "fsync"])
def test_what_was_logged_is_read_back_with_one_row_for_each_prediction(tmp_path: Path, durability: str) -> None:
    log = log_in(tmp_path, durability)

    first = log.answered(served(), VALUES, ANSWER)
    second = log.answered(served(), [(1.0,), ("B6",)], b'{"predictions": [[0.1, 0.9]]}')
    log.close()

    (read,) = read_all(tmp_path)
    assert [row["prediction_id"] for row in read.predictions] == [
        f"{first.decode()}.0", f"{first.decode()}.1", f"{second.decode()}.0",
    ]  # fmt: skip
    assert read.predictions[1] == {
        "feature.distance": 1400.5, "feature.carrier": None, "prediction_id": f"{first.decode()}.1",
        "model": "late flights/ü", "version": 3, "epoch": 7, "as_of": 1_000_000, "served_at": 1_000_000,
        "prediction": 0.5, "variant": "champion", "origin": "server",
    }  # fmt: skip
    assert (read.torn, read.requests, log.written, log.lost) == (0, [], 2, 0)


def test_at_write_a_record_is_in_the_file_before_the_answer_is_given(tmp_path: Path) -> None:
    log = log_in(tmp_path)

    number = log.answered(served(), VALUES, ANSWER).decode()

    (path,) = stored(tmp_path)
    name, _, offset = number.rpartition(".")
    line = json.loads(path.read_bytes()[int(offset) :].splitlines()[0])
    assert path.name == f"{name}.jsonl"
    assert (line["values"], line["answer"]) == ([[719.0, 1400.5], ["UA", None]], json.loads(ANSWER))
    assert path.stat().st_mode & 0o777 == 0o600
    log.close()


def test_a_segment_is_taken_by_nobody_while_its_writer_lives_and_by_one_reader_afterwards(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    log.answered(served(), VALUES, ANSWER)
    (path,) = stored(tmp_path)

    while_open = Finished.taken(path)
    log.close()
    first, second = Finished.taken(path), Finished.taken(path)
    assert first is not None
    first.remove()
    first.release()

    assert while_open is None
    assert second is None
    assert Finished.taken(path) is None


def test_segments_roll_by_size_and_each_describes_its_versions_anew(tmp_path: Path) -> None:
    log = log_in(tmp_path, roll_bytes=2_000)

    for number in range(60):
        log.answered(served(version=number % 3), VALUES, ANSWER)
    log.close()

    read = read_all(tmp_path)
    assert len(read) > 4
    assert all(path.stat().st_size < 2_500 for path in stored(tmp_path))
    assert sum(len(one.predictions) for one in read) == 120
    assert sorted({row["version"] for one in read for row in one.predictions}) == [0, 1, 2]
    assert len({row["prediction_id"] for one in read for row in one.predictions}) == 120


def test_an_idle_segment_is_finished_when_its_time_has_come(tmp_path: Path) -> None:
    log = log_in(tmp_path, roll_seconds=0.0, sync_seconds=0.01)
    log.start()
    log.answered(served(), VALUES, ANSWER)

    (path,) = stored(tmp_path)
    waiting = threading.Event()
    taken = Finished.taken(path)
    while taken is None and not waiting.wait(0.01):
        taken = Finished.taken(path)

    assert len(read_segment(taken.name, taken.lines()[0]).predictions) == 2
    taken.release()
    log.close()


@pytest.mark.parametrize("durability", ["write", "fsync"])
def test_an_answer_whose_record_has_no_room_is_withheld_and_nothing_half_is_left(
    tmp_path: Path, durability: str
) -> None:
    log = log_in(tmp_path, durability)
    with files_at_most(1_000):
        told = [log.answered(served(), VALUES, ANSWER) for _ in range(4)]

        with pytest.raises(RequestNotLoggedError, match="answer is withheld, because the request log in"):
            log.answered(served(), [(1.0,) * 500, ("x",) * 500], b'{"predictions": []}')

        assert log.failed == 1
        assert "no space is left" in str(log.trouble) or "too large" in str(log.trouble)
    told.append(log.answered(served(), VALUES, ANSWER))
    assert log.trouble is None
    log.close()
    read = read_all(tmp_path)
    ids = {row["prediction_id"].rpartition(".")[0] for one in read for row in one.predictions}
    assert ids == {number.decode() for number in told}
    assert [one.torn for one in read] == [0]


def test_at_async_answers_are_given_on_a_full_disk_and_what_is_lost_is_counted(tmp_path: Path) -> None:
    log = log_in(tmp_path, "async", sync_seconds=30)
    with files_at_most(1_000):
        for _ in range(40):
            log.answered(served(), VALUES, ANSWER)

        log.close()

    assert (log.written, log.lost) == (0, 40)
    assert log.trouble is not None
    assert sum(len(one.predictions) for one in read_all(tmp_path)) == 0


PROGRAM = [sys.executable, str(Path(__file__).with_name("bad_disk.py"))]
ON_A_DISK_OF_128_K = "mount -t tmpfs -o size=128k tmpfs {0} && exec "
WITH_FILES_OF_128_K = "trap '' XFSZ; ulimit -f 128; exec "


def on_a_small_disk(folder: Path, durability: str) -> subprocess.CompletedProcess[bytes]:
    """What the program tells that logs 300 K on 128; on a real disk that is full, where one may be made here."""
    namespace = ["unshare", "-Urm"]
    may = subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0
    shell = [*namespace, "bash", "-c"] if may else ["bash", "-c"]
    before = ON_A_DISK_OF_128_K.format(folder) if may else WITH_FILES_OF_128_K
    return program([*shell, before + shlex.join([*PROGRAM, str(folder / "log"), durability])])


def program(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """Run it as a worker is run."""
    told = {**environment("", 0), "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=told, capture_output=True, check=False)


@pytest.mark.parametrize("durability", ["async", "write", "fsync"])
def test_a_disk_that_is_full_never_ends_the_process_and_each_record_is_there_or_counted(
    tmp_path: Path, durability: str
) -> None:
    done = on_a_small_disk(tmp_path, durability)

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["written"] + told["failed"] + told["lost"] == 3_000
    assert told["failed"] + told["lost"] > 1_000
    assert len(told["found"]) == told["written"]
    if durability != "async":
        assert told["written"] > 500
        assert sorted(told["found"]) == sorted(told["acknowledged"])


def test_a_segment_that_somebody_cuts_off_ends_the_process_and_the_messages_say_where(tmp_path: Path) -> None:
    done = program([*PROGRAM, str(tmp_path), "write", "300"])

    assert done.returncode == -signal.SIGBUS
    assert b"Fatal Python error: Bus error" in done.stderr
    assert b"segment.py" in done.stderr


def test_a_writer_that_was_killed_leaves_its_lines_and_zeros_behind_them(tmp_path: Path) -> None:
    told = tmp_path / "told"
    writer = os.fork()
    if writer == 0:
        try:
            log = log_in(tmp_path / "log")
            told.write_bytes(b"\n".join(log.answered(served(), VALUES, ANSWER) for _ in range(3_000)))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)  # no line may be lost, although nothing is closed
    os.waitpid(writer, 0)

    (read,) = read_all(tmp_path / "log")

    (path,) = stored(tmp_path / "log")
    assert path.read_bytes().endswith(b"\0" * 1_000)
    assert read.torn == 0
    assert len(read.predictions) == 6_000
    assert [row["prediction_id"].encode() for row in read.predictions[::2]] == [
        number + b".0" for number in told.read_bytes().splitlines()
    ]


def test_a_line_that_is_longer_than_the_room_that_is_taken_at_a_time_is_kept(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    many = 200_000
    answer = b'{"predictions": [' + b", ".join([b"0.5"] * many) + b"]}"

    log.answered(served(), VALUES, ANSWER)
    log.answered(served(), [(1.0,) * many, ("x",) * many], answer)
    log.answered(served(), VALUES, ANSWER)
    log.close()

    (read,) = read_all(tmp_path)
    assert (read.torn, len(read.predictions)) == (0, many + 4)


def test_records_that_wait_when_a_segment_is_full_are_counted_where_they_cannot_be_written(tmp_path: Path) -> None:
    log = log_in(tmp_path, "async", roll_bytes=2_000, sync_seconds=30)
    with files_at_most(500):
        for _ in range(60):
            log.answered(served(), VALUES, ANSWER)
        log.close()

    assert (log.written, log.lost) == (0, 60)


def test_the_log_says_that_the_disk_takes_lines_again_without_a_request(tmp_path: Path) -> None:
    log = log_in(tmp_path, sync_seconds=0.01)
    with files_at_most(10), pytest.raises(RequestNotLoggedError):
        log.answered(served(), VALUES, ANSWER)
    troubled = log.trouble is not None

    log.start()
    waiting = threading.Event()
    while log.trouble is not None and not waiting.wait(0.01):
        pass

    assert troubled
    log.close()


def test_the_log_looks_on_where_its_folder_cannot_even_be_cleaned(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.write_text("as good as a disk that is read-only: nothing can be written here, and nothing removed")
    log = log_in(folder, sync_seconds=0.01)
    with pytest.raises(RequestNotLoggedError):
        log.answered(served(), VALUES, ANSWER)
    first = log.trouble

    log.start()
    waiting = threading.Event()
    while log.trouble == first and not waiting.wait(0.01):
        pass
    waiting.wait(0.1)
    folder.unlink()
    while log.trouble is not None and any(each.name == "request log" for each in threading.enumerate()):
        waiting.wait(0.01)

    assert log.trouble is None
    assert list(folder.iterdir()) == []
    log.close()


def test_no_value_of_a_redacted_column_is_ever_written(tmp_path: Path) -> None:
    log = log_in(tmp_path, redacted=("carrier", "passenger"))
    asked = Asked(as_of=5, keys=[("canary", "canary"), (1, 2)])
    bodies = [
        {"dataframe_records": [{"distance": None, "carrier": "canary"}]},
        {"dataframe_split": {"columns": ["carrier", "distance"], "data": [["canary", 1.0]]}},
        {"inputs": {"carrier": ["canary"], "distance": [1.0]}},
        {"instances": [{"carrier": "canary"}]},
        {"dataframe_split": {"columns": ["distance"], "data": [[1.0, "canary"]]}},
        {"dataframe_records": ["canary"]},
        ["canary"],
    ]

    log.answered(served(passenger="String", id="Int64"), [(1.0, 2.0), ("canary", "canary")], ANSWER, asked)
    for body in [*(json.dumps(body).encode() for body in bodies), b"carrier\ncanary", b"\xff canary"]:
        log.undecoded(served(), Undecoded("application/json", body, 200, b'{"predictions": [1.0]}'))
    log.undecoded(served(), Undecoded("application/json", b"{", 400, b"Failed to predict data 'canary'"))
    log.close()

    (path,) = stored(tmp_path)
    (read,) = read_all(tmp_path)
    assert b"canary" not in path.read_bytes()
    assert read.predictions[0]["feature.carrier"] is None
    assert (read.predictions[0]["id"], read.predictions[1]["id"]) == (1, 2)
    assert (len(read.predictions), len(read.requests)) == (5, 7)


def test_a_plain_body_that_mlflow_answered_is_a_prediction_and_any_other_a_request(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    records = json.dumps({"dataframe_records": [{"carrier": "B6", "id": 4, "distance": 5}]}).encode()

    log.undecoded(served(id="Int64"), Undecoded("application/json", records, 200, b'{"predictions": [0.5]}'))
    log.undecoded(served(id="Int64"), Undecoded("text/csv", b"carrier,distance\nB6,5\n", 200, b'{"predictions": [1]}'))
    log.undecoded(served(id="Int64"), Undecoded("application/json", b"\xff", 400, b'{"error_code": "BAD_REQUEST"}'))
    log.close()

    (read,) = read_all(tmp_path)
    assert [(row["feature.carrier"], row["feature.distance"], row["id"]) for row in read.predictions] == [("B6", 5, 4)]
    assert [(row["status"], row["body"]) for row in read.requests] == [
        (200, "carrier,distance\nB6,5\n"), (400, "\\xff"),
    ]  # fmt: skip


@pytest.mark.parametrize("asked", [None, Asked(5, [(1, 2)])], ids=["alone", "with its key"])
def test_a_feature_that_is_no_number_is_not_read_back_as_a_gap(tmp_path: Path, asked: Asked | None) -> None:
    log = log_in(tmp_path)

    log.answered(served(id="Int64"), [(float("nan"), None), ("a", "b")], ANSWER, asked)
    log.answered(served(id="Int64"), [(float("inf"), float("-inf")), ("a", "b")], ANSWER, asked)
    log.close()

    first, second, third, fourth = read_all(tmp_path)[0].predictions
    assert first["feature.distance"] != first["feature.distance"]
    assert second["feature.distance"] is None
    assert (third["feature.distance"], fourth["feature.distance"]) == (float("inf"), float("-inf"))
    assert asked is None or (first["as_of"], first["id"]) == (5, 1)


ODD_CALLS = [
    (b'{"dataframe_split": {"columns": [{"a": 1}], "data": [[1]]}}', b'{"predictions": [1.0]}'),
    (b'{"dataframe_split": {"columns": [["a"]], "data": [[1]]}}', b'{"predictions": [1.0]}'),
    (b'{"dataframe_records": [{"a": %b}]}' % (b"[" * 5_000 + b"]" * 5_000), b'{"predictions": [1.0]}'),
    (b'{"dataframe_records": [{"a": 1}]}', b'{"predictions": [%b]}' % (b"9" * 400)),
    (b'{"dataframe_records": [{"a": 1}]}', b'{"predictions": %b}' % (b"[" * 5_000 + b"]" * 5_000)),
    (b'{"dataframe_split": {"columns": ["distance", "carrier"], "data": []}}', b'{"predictions": []}'),
]


@pytest.mark.parametrize("redacted", [(), ("passenger",)], ids=["in full", "redacted"])
def test_a_call_that_is_too_odd_to_be_a_prediction_is_kept_as_a_request(
    tmp_path: Path, redacted: tuple[str, ...]
) -> None:
    anything = Served("late flights/ü", 3, 7, "", Tier.MLFLOW, (), None, None, None, ())  # type: ignore[arg-type]
    log = log_in(tmp_path, redacted=redacted)

    for body, answer in ODD_CALLS:
        log.undecoded(anything, Undecoded("application/json", body, 200, answer))
    log.close()

    (read,) = read_all(tmp_path)
    assert (len(read.predictions), len(read.requests), read.torn) == (0, len(ODD_CALLS), 0)
    assert [row["answer"] for row in read.requests] == [answer.decode() for _, answer in ODD_CALLS]


def test_a_last_line_that_a_power_cut_tore_is_counted_and_the_others_are_read(tmp_path: Path) -> None:
    log = log_in(tmp_path)
    for _ in range(3):
        log.answered(served(), VALUES, ANSWER)
    log.close()
    (path,) = stored(tmp_path)
    whole = path.read_bytes()

    found = []
    for kept in (whole[:-1], whole[:-90], whole[:-90] + b"\0" * 90, whole[:-90] + b"\0" * 89 + b"\n"):
        path.write_bytes(kept)
        taken = Finished.taken(path)
        assert taken is not None
        lines, torn = taken.lines()
        read = read_segment(taken.name, lines)
        found.append((len(read.predictions), read.torn + bool(torn)))
        taken.release()

    assert found == [(4, 1)] * 4
