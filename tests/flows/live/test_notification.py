"""An alert reaches the owner: event, automation, block and an HTTP request on loopback, once for each cause."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from live_folder import wait_until
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.events.clients import PrefectEventsClient
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, temporary_settings
from small_data import write_small_model

from flows.automations import automate, tells
from flows.events import emit_alert
from flows.model import load_model
from flows.servers import start_prefect
from flows.settings import Servers, Settings, State
from lifecycle.alerts import DRIFT, VALIDATION, Alert, Symptom

START = datetime(2021, 5, 1, tzinfo=UTC)
SEEN = (
    Symptom(VALIDATION, "questions.origin", "otherwise in 3 of 9 rows: NORTH (3)"),
    Symptom(DRIFT, "questions.origin", "origin drifted"),
)
LINKS = {"Validation": "http://127.0.0.1:5000/#/page"}


def alert(number: int) -> Alert:
    return Alert("told", "ops@example.com", START + timedelta(days=number), ("questions.origin",), SEEN)


@pytest.fixture
def inbox() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Where notifications go, and what has come so far."""
    arrived: list[dict[str, Any]] = []

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            arrived.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Page) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/alerts", arrived
        listening.shutdown()
        thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The API of a Prefect server with its automations at work; events of this process go there.

    Prefect keeps one sender of events per process, connected to the first server it saw.
    """
    started = start_prefect(
        Settings(state=State(folder=tmp_path / "state"), servers=Servers(prefect_port=0)), services=True
    )
    try:
        api = f"{started.wait().url}/api"
        EventsWorker.set_client_override(PrefectEventsClient, api_url=api)
        with temporary_settings({PREFECT_API_URL: api}):
            yield api
    finally:
        EventsWorker.set_client_override(None)
        started.stop()


def about(arrived: list[dict[str, Any]], day: str) -> list[dict[str, Any]]:
    """The notifications of one window."""
    return [one for one in arrived if f"Window to {day}" in one["body"]]


def known_of(server: str) -> str:
    """What the server knows, where nothing arrives."""
    events = httpx.post(f"{server}/events/filter", json={"limit": 50}, timeout=60).json()
    automations = httpx.post(f"{server}/automations/filter", json={}, timeout=60).json()
    seen = Counter(event["event"] for event in events["events"])
    return f"events: {seen}\nautomations: {json.dumps(automations, indent=1)}"


@pytest.mark.services
@pytest.mark.timeout(600)
def test_the_owner_gets_one_notification_a_cause_however_often_it_is_emitted(
    tmp_path: Path, server: str, inbox: tuple[str, list[dict[str, Any]]]
) -> None:
    address, arrived = inbox
    shape = {"subject": "{{subject}}", "body": "{{body}}"}
    block = CustomWebhookNotificationBlock(name="ops", url=address, json_data=shape)
    block.save("ops", overwrite=True, _sync=True)
    wanted = tells(load_model(write_small_model(tmp_path / "told", name="told")), {"*": "custom-webhook/ops"})
    assert wanted is not None
    automate(wanted)
    emitted = [0]

    def first_one() -> bool:
        """The server takes up a new automation after a while; every try is another cause."""
        emit_alert(alert(emitted[0]), LINKS)
        emitted[0] += 1
        return bool(arrived)

    wait_until("a notification", first_one, lambda: known_of(server))
    last = alert(1000)
    emit_alert(last, LINKS)
    emit_alert(last, LINKS)
    # Notifications are sent side by side: one that comes later says nothing of those before it.
    wait_until("its notification", lambda: about(arrived, "2024-01-26"), lambda: known_of(server))
    emit_alert(alert(1001), LINKS)
    wait_until("the last notification", lambda: about(arrived, "2024-01-27"), lambda: known_of(server))

    of_last = about(arrived, "2024-01-26")
    assert len(of_last) == 1
    assert of_last[0]["subject"] == "told: questions.origin (validation, drift)"
    assert of_last[0]["body"] == (
        "told: questions.origin (validation, drift)\n\n"
        "Owner: ops@example.com. Window to 2024-01-26T00:00:00Z.\n\n"
        "- validation, questions.origin: otherwise in 3 of 9 rows: NORTH (3)\n"
        "- drift, questions.origin: origin drifted\n\n"
        "Validation: http://127.0.0.1:5000/#/page"
    )
