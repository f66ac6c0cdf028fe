"""`incumbent up`: everything local as one process group, on ports that are free, and nothing of it left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from pathlib import Path

import httpx
import psutil
import pytest
from live_folder import Folder, free_ports, nothing_left_alive

from flows.servers import addressed, free_port, live_server

ENOUGH = 30.0  # seconds to end in; 4 on an idle machine


@pytest.mark.services
@pytest.mark.timeout(600)
def test_up_is_one_group_that_ends_as_one_and_cleans_up_after_a_crash(
    tmp_path: Path,
) -> None:
    taken, given = free_ports(2)
    folder = Folder.make(tmp_path, mlflow_port=taken, prefect_port=given)
    with socket.socket() as somebody_else:
        somebody_else.bind(("127.0.0.1", taken))
        somebody_else.listen()
        first = folder.start("ui")
        with nothing_left_alive(folder, first):
            said = first.wait_to_say("Ctrl-C")
            mlflow = address("MLflow", said)
            assert f"(port {taken} was taken)" in said
            assert address("Prefect", said) == f"http://127.0.0.1:{given}"
            assert httpx.get(f"{mlflow}/health").text == "OK"

            first.end(signal.SIGKILL)

            assert len(alive(folder)) == 2, "kill -9 leaves the servers behind"
            second = folder.start("up")
            with nothing_left_alive(folder, second):
                said = second.wait_to_say("Ctrl-C")
                assert re.search(r"mlflow +left over from a crash, ended", said)
                assert re.search(r"prefect +left over from a crash, ended", said)
                assert address("MLflow", said) == mlflow, "what is stored links to the address of last time"
                assert addressed(folder.settings).mlflow_url == mlflow
                running = alive(folder)
                assert sorted(known["name"] for known in running) == ["mlflow", "prefect", "worker"]
                assert len({os.getpgid(known["pid"]) for known in running}) == 1
                everything = [p for known in running for p in family(known["pid"])]
                third = folder.start("ui")
                assert "Another process has them running" in third.wait_to_say("Another")
                assert third.process.wait(timeout=ENOUGH) == 0

                seconds = second.end(signal.SIGTERM)

                assert seconds < ENOUGH
                assert second.process.returncode == 0
                assert [process for process in everything if process.is_running()] == []
                assert alive(folder) == []
                assert live_server(folder.settings, "prefect") is None


def test_a_wanted_port_is_given_when_it_is_free_and_any_other_when_it_is_taken() -> None:
    (wanted,) = free_ports(1)

    assert free_port("127.0.0.1", wanted) == wanted
    with socket.socket() as somebody_else:
        somebody_else.bind(("127.0.0.1", wanted))
        somebody_else.listen()
        assert free_port("127.0.0.1", wanted) not in (0, wanted)


def address(name: str, said: str) -> str:
    found = re.search(rf"^{name} +(\S+)", said, re.MULTILINE)
    assert found, said
    return found.group(1)


def alive(folder: Folder) -> list[dict[str, int | str]]:
    """The recorded servers whose process is there."""
    records = (folder.path / ".incumbent" / "servers").glob("*-*.json")
    known = [json.loads(record.read_text()) for record in records]
    return [each for each in known if psutil.pid_exists(each["pid"])]


def family(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]
