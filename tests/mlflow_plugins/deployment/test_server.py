"""The server as a process: clients that others wrote, signals, slow and hostile senders, several workers, TLS."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
import tritonclient.http as triton
from asking import split
from mlflow.pyfunc.scoring_server.client import ScoringServerClient
from server_process import running
from tritonclient.utils import InferenceServerException

from mlflow_plugins.deployment.options import Access, Limits, ServerOptions, StoredModel
from mlflow_plugins.loader import load

pytestmark = pytest.mark.services

QUICK = Limits(head_timeout=1.0, body_timeout=1.5, headers=4096, drain=1.0)


@pytest.fixture(scope="module")
def server(small, tmp_path_factory):
    models = (small("late").stored, small("delay").stored)
    with running(ServerOptions(models=models, limits=QUICK), tmp_path_factory.mktemp("server") / "log") as started:
        yield started


@pytest.fixture(scope="module")
def frame(small):
    return small("late").frame.dropna().head(20).reset_index(drop=True)


@pytest.fixture(scope="module")
def expected(small, frame):
    """What the stored pipeline answers, loaded here."""
    stored = small("late").stored
    return load(Path(stored.folder), expected_digest=stored.digest).pipeline.predict_proba(frame)


def tensors(frame, binary, datatype="FP64"):
    for name in frame.columns:
        text = name == "carrier"
        values = frame[name].to_numpy(dtype=object if text else {"FP64": np.float64, "FP32": np.float32}[datatype])
        tensor = triton.InferInput(name, [len(frame)], "BYTES" if text else datatype)
        tensor.set_data_from_numpy(values, binary_data=binary)
        yield tensor


@pytest.mark.parametrize("binary", [True, False])
def test_a_strangers_client_speaks_the_open_inference_protocol(server, frame, expected, binary):
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        told = client.get_model_metadata("late-flights", "3")
        wanted = [triton.InferRequestedOutput("predictions", binary_data=binary)]
        answer = client.infer("late-flights", list(tensors(frame, binary)), outputs=wanted, request_id="r-1")

        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("late-flights", "3")
        assert not client.is_model_ready("nobody")
        assert [tensor["datatype"] for tensor in told["inputs"]] == ["FP64", "BYTES", "FP64"]
        assert answer.as_numpy("predictions").tobytes() == expected.tobytes()
        assert (answer.get_response()["id"], answer.get_response()["model_version"]) == ("r-1", "3")


def test_the_open_inference_protocol_says_what_does_not_fit(server, frame):
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        given = list(tensors(frame, False))

        with pytest.raises(InferenceServerException, match=r"Send one tensor .* for each of: \['distance', 'carrier'"):
            client.infer("late-flights", given[:2])
        with pytest.raises(InferenceServerException, match=r"column 'distance' takes FP64.*, not 'BYTES'"):
            client.infer("late-flights", [given[1], given[2], _named(given[1], "distance")])
        with pytest.raises(InferenceServerException, match="Nothing is served at /v2/models/nobody"):
            client.infer("nobody", given)


def _named(tensor, name):
    renamed = triton.InferInput(name, tensor.shape(), tensor.datatype())
    renamed.set_data_from_numpy(np.array(["x"] * tensor.shape()[0], dtype=object), binary_data=False)
    return renamed


def test_mlflows_own_client_speaks_to_it(server, frame, expected):
    client = ScoringServerClient("127.0.0.1", server.port)
    client.wait_server_ready()

    answer = client.invoke(frame)

    assert np.array(answer["predictions"]).tobytes() == expected.tobytes()
    before = _answers(server)
    client.invoke(frame)
    assert _answers(server) - before == {("late-flights", "fast"): 1}


def _answers(server):
    found = Counter()
    for line in server.get("/metrics")[1].decode().splitlines():
        if line.startswith("incumbent_answers_total{"):
            labels = dict(part.split("=") for part in line[line.index("{") + 1 : line.index("}")].split(","))
            found[labels["model"].strip('"'), labels["path"].strip('"')] += int(float(line.rsplit(" ", 1)[1]))
    return found


def _processor_times(server):
    lines = server.get("/metrics")[1].decode().splitlines()
    return dict(line.split(" ") for line in lines if line.startswith("incumbent_cpu_seconds_total{"))


def exchange(port, *parts, pause=0.0):
    """Send bytes as they are, and read until the server closes or says nothing more."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        for part in parts:
            raw.sendall(part)
            time.sleep(pause)
        found = b""
        try:
            while part := raw.recv(65536):
                found += part
        except ConnectionResetError:
            pass
    return found


def test_slow_senders_are_closed_with_a_word(server):
    head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n"

    nothing = exchange(server.port)
    half_a_head = exchange(server.port, head)
    half_a_body = exchange(server.port, head + b"\r\n{")

    assert [answer.split(b"\r\n")[0] for answer in (nothing, half_a_head, half_a_body)] == [
        b"HTTP/1.1 408 Request Timeout"
    ] * 3


def test_a_head_without_end_is_refused(server):
    lines = [b"x-%d: %s\r\n" % (at, b"y" * 100) for at in range(100)]

    answer = exchange(server.port, b"GET /ping HTTP/1.1\r\n" + b"".join(lines))

    assert answer.startswith(b"HTTP/1.1 431 ")


def test_garbage_on_the_wire_never_makes_a_500_and_the_server_goes_on(server, frame):
    rng = random.Random(5)
    good = split(frame.columns, [list(frame.iloc[0])])
    head = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nconnection: close\r\n"
    whole = head + b"content-length: %d\r\n\r\n%b" % (len(good), good)
    for _ in range(60):
        broken = bytearray(whole)
        for _ in range(rng.choice([1, 3, 9])):
            broken[rng.randrange(len(head) if rng.random() < 0.5 else len(broken))] = rng.randrange(256)
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
            raw.sendall(bytes(broken))
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(65536)
        # MLflow itself answers 500 where the content type is missing; what it answers carries our header.
        assert not answer.startswith(b"HTTP/1.1 5") or b"x-incumbent-version: 3" in answer

    assert exchange(server.port, whole).startswith(b"HTTP/1.1 200 OK")
    assert server.get("/ready")[0] == 200


def test_every_accepted_request_is_answered_when_it_is_told_to_end(small, frame, tmp_path):
    body = split(frame.columns, [list(frame.iloc[0])])
    outcomes: Counter[str] = Counter()

    with running(ServerOptions(models=(small("late").stored,), limits=QUICK), tmp_path / "log") as server:
        with _clients(server.port, body, outcomes):
            server.process.send_signal(signal.SIGTERM)
            ready = _statuses_until_it_ends(server)

        assert server.process.wait(60) == 0
    assert outcomes.keys() == {"200"}
    assert 503 in ready


@contextlib.contextmanager
def _clients(port, body, outcomes):
    """Eight that ask without pause, each until it is told that its connection is closed."""

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        closing = False
        while not closing:
            try:
                connection.request("POST", "/invocations", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                outcomes[f"lost: {error!r}"] += 1
                return
            outcomes[str(answer.status)] += 1
            closing = answer.getheader("connection") == "close"

    clients = [threading.Thread(target=ask) for _ in range(8)]
    for each in clients:
        each.start()
    while sum(outcomes.values()) < 50:
        time.sleep(0.05)
    yield
    for each in clients:
        each.join(60)


def _statuses_until_it_ends(server):
    found = []
    while server.process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            found.append(server.get("/ready")[0])
        time.sleep(0.05)
    return found


def test_workers_share_the_port_and_their_counts_and_a_dead_one_is_replaced(small, frame, tmp_path):
    outcomes: Counter[str] = Counter()
    folder = tmp_path / "metrics"
    folder.mkdir()
    body = split(frame.columns, [list(frame.iloc[0])])
    options = ServerOptions(models=(small("late").stored,), workers=2, metrics_folder=str(folder), limits=QUICK)

    with running(options, tmp_path / "log") as server:
        statuses = Counter(_scored(server, body) for _ in range(30))
        while sum(_answers(server).values()) < statuses[200]:
            time.sleep(0.1)
        while len(_processor_times(server)) < 2:
            time.sleep(0.1)
        first = _children(server.process.pid)
        os.kill(first[0], signal.SIGKILL)
        replacement = _another_than(first, server)
        later = Counter(_scored(server, body) for _ in range(10))

        assert len(first) == 2
        assert statuses[200] >= 20
        assert later[200] >= 5
        os.kill(replacement, signal.SIGKILL)  # which still loads
        loading = _another_than([*first, replacement], server)
        with _clients(server.port, body, outcomes):
            server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
    assert outcomes.keys() == {"200"}
    assert not Path(f"/proc/{loading}").exists()
    assert re.findall(r"again in (\d+) s", (tmp_path / "log").read_text()) == ["0", "1"]


def test_workers_whose_supervisor_was_killed_answer_what_they_accepted_and_end(small, frame, tmp_path):
    body, outcomes = split(frame.columns, [list(frame.iloc[0])]), Counter()
    options = ServerOptions(models=(small("late").stored,), workers=2, limits=QUICK)

    with running(options, tmp_path / "log") as server:
        workers = _children(server.process.pid)
        with _clients(server.port, body, outcomes):
            server.process.kill()
        while any(_runs(worker) for worker in workers):
            time.sleep(0.1)

    assert outcomes.keys() == {"200"}


def _runs(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _another_than(known, server):
    while not (others := set(_children(server.process.pid)) - set(known)):
        time.sleep(0.1)
    return others.pop()


def _scored(server, body):
    """The status; a worker that is still loading says 503."""
    return server.post("/invocations", body)[0]


def _children(parent):
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_model_that_cannot_be_loaded_ends_the_server_with_the_reason(small, tmp_path, workers):
    stored = small("late").stored
    other = StoredModel(model="late", version=1, folder=stored.folder, digest="0" * 64)

    with running(ServerOptions(models=(other,), workers=workers), tmp_path / "log", ready=False) as server:
        assert server.process.wait(120) == 1
    assert "expected " + "0" * 64 in (tmp_path / "log").read_text()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """An authority, and two certificates that it signed."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(*new, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name in ("server", "client"):
        openssl(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    return folder


def test_only_clients_of_the_authority_may_connect_where_tls_is_mutual(small, frame, certificates, tmp_path):
    access = Access(
        certificate=str(certificates / "server.pem"),
        key=str(certificates / "server.key"),
        client_authorities=str(certificates / "ca.pem"),
    )
    known = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    known.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    stranger = ssl.create_default_context(cafile=str(certificates / "ca.pem"))

    options = ServerOptions(models=(small("late").stored,), access=access)
    with running(options, tmp_path / "log", ready=False) as server:
        while (status := _secure_get(server.port, known)) != 200:
            assert status in (503, None)
            assert server.process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.2)

        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            _secure_get(server.port, stranger, retry=False)


def _secure_get(port, context, retry=True):
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status
    except OSError:
        if not retry:
            raise
        return None
    finally:
        connection.close()
