"""Over a socket: what is answered at once has the bytes of the usual way, and the usual way is taken where it must."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace

import mlflow.pyfunc
import msgspec
import pytest
from asking import Answer, Request, ask, split
from mlflow.pyfunc.scoring_server import init
from odd_requests import every_request

from lifecycle.experiments import Experiment, Variant
from mlflow_plugins.deployment.experiments import Comparison, unit_reader
from mlflow_plugins.deployment.loading import load_served
from mlflow_plugins.deployment.options import Access, Limits
from mlflow_plugins.deployment.routes import Routes
from mlflow_plugins.deployment.served import headers_of
from mlflow_plugins.deployment.server import Server
from mlflow_plugins.deployment.starting import listen
from mlflow_plugins.deployment.tier import Tier

UVICORNS = {b"date", b"server", b"connection"}


@contextmanager
def listening(application, access=None):
    """The application on a port of this process."""
    server = Server(application, access or Access())
    with listen("127.0.0.1", 0) as bound:
        bound.listen()
        runner = asyncio.Runner(loop_factory=server.config.get_loop_factory())
        thread = threading.Thread(target=lambda: runner.run(server.serve(sockets=[bound])))
        thread.start()
        try:
            yield server, bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
            runner.close()


@pytest.fixture(scope="module")
def compiled(small):
    return load_served(msgspec.structs.replace(small("late").stored, tier=Tier.COMPILED))


@pytest.fixture
def body(small):
    return split(small("late").frame.columns, [[100.5, "UA", 3.0]])


def raw(body: bytes, *lines: bytes, path: bytes = b"/invocations") -> bytes:
    head = [b"POST %b HTTP/1.1" % path, b"host: x", b"content-type: application/json", *lines]
    return b"\r\n".join([*head, b"content-length: %d" % len(body), b"", body])


@dataclass(frozen=True)
class Read:
    status: int
    headers: dict[str, str]
    content: bytes


def send(port: int, *parts: bytes, answers: int = 1, pause: float = 0.0) -> list[Read]:
    """Bytes as they are, and that many answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause)
        file = connection.makefile("rb")
        return [read(file) for _ in range(answers)]


def read(file) -> Read:
    status = int(file.readline().split()[1])
    if status == 100:
        file.readline()
        return read(file)
    headers = {key.lower(): value for key, value in http.client.parse_headers(file).items()}
    return Read(status, headers, file.read(int(headers["content-length"])))


def over(port: int, request: Request) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
    for name, value in request.scope()["headers"]:
        connection.putheader(name, value)
    connection.endheaders(request.body)
    answer = connection.getresponse()
    content = answer.read()
    headers = tuple((key.encode(), value.encode("latin-1")) for key, value in answer.getheaders())
    connection.close()
    return Answer(answer.status, headers, content)


def fast(application) -> int:
    return sum(count for labels, count in application.counts.answers.items() if labels[2] == "fast")


@pytest.mark.services
def test_every_answer_over_a_socket_is_mlflows(small, application, compiled):
    requests = [request for request in every_request(small("late").frame, 3) if request.method != "HEAD"]
    theirs = init(mlflow.pyfunc.load_model(small("late").stored.folder))
    app = application(compiled)

    with listening(app) as (_, port):
        ours = [over(port, request) for request in requests]
    wanted = [asyncio.run(ask(theirs, request)) for request in requests]

    for request, found, expected in zip(requests, ours, wanted, strict=True):
        kept = tuple(pair for pair in found.without_ours().headers if pair[0] not in UVICORNS)
        assert (found.status, found.body, kept) == (expected.status, expected.body, expected.headers), request
    assert compiled.tier is Tier.COMPILED
    assert fast(app) > 150


@pytest.mark.services
def test_each_request_of_a_pipeline_is_answered_in_its_turn(application, compiled, body):
    odd = body.replace(b"100.5", b'"100.5"')

    with listening(application(compiled)) as (_, port):
        answers = send(port, raw(body) + raw(odd) + raw(body), b"", raw(body) * 2, answers=5)

    assert [answer.status for answer in answers] == [200] * 5
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.services
@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_request_may_come_in_any_parts(application, compiled, body, pause):
    whole = raw(body, b"x-long: " + b"y" * 200)
    chunked = (
        b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    chunks = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (7, body[:7], len(body) - 7, body[7:])

    with listening(application(compiled)) as (_, port):
        (at_once,) = send(port, whole)
        (bit_by_bit,) = send(port, *(whole[at : at + 40] for at in range(0, len(whole), 40)), pause=pause)
        (in_chunks,) = send(port, chunked, chunks, pause=pause)
        (expected,) = send(port, raw(body, b"expect: 100-continue"))
        (of_old,) = send(port, raw(body).replace(b"HTTP/1.1", b"HTTP/1.0"))

    contents = [answer.content for answer in (at_once, bit_by_bit, in_chunks, expected, of_old)]
    assert contents == [at_once.content] * 5
    assert of_old.headers["connection"] == "close"


@pytest.mark.services
def test_a_large_body_goes_the_usual_way_and_gets_the_same_answer(application, compiled, body):
    app = application(compiled)
    padded = body[:-1] + b" " * 300_000 + b"}"

    with listening(app) as (_, port):
        small, large = send(port, raw(body) + raw(padded), answers=2)

    assert large.content == small.content
    assert fast(app) == 2


@pytest.mark.services
def test_a_body_beyond_the_limit_is_refused_also_where_it_is_small(application, compiled, body):
    with listening(application(compiled, limits=Limits(body=50))) as (_, port):
        (answer,) = send(port, raw(body))

    assert (answer.status, answer.headers["connection"]) == (413, "close")


@pytest.mark.services
def test_without_the_token_nothing_is_answered_at_once(application, compiled, body):
    app = application(compiled, access=Access(token="secret"))

    with listening(app) as (_, port):
        refused, allowed = send(port, raw(body) + raw(body, b"authorization: Bearer secret"), answers=2)

    assert (refused.status, allowed.status) == (401, 200)


@pytest.mark.services
def test_hooks_see_what_is_answered_at_once(application, compiled, body):
    app, before, after = application(compiled), [], []
    app.before_answer = lambda answered: before.append(answered) or ((b"x-incumbent-log", b"1"),)
    app.after_answer = after.append

    with listening(app) as (_, port):
        (answer,) = send(port, raw(body))

    assert before == after
    assert [each.answer for each in before] == [answer.content]
    assert before[0].scope["path"] == "/invocations"
    assert answer.headers["x-incumbent-log"] == "1"


@pytest.mark.services
def test_a_hook_that_fails_makes_a_500_and_the_server_goes_on(application, compiled, body):
    app = application(compiled)

    def full_disk(answered):
        raise OSError("no space")

    app.before_answer = full_disk
    with listening(app) as (_, port):
        (answer,) = send(port, raw(body))
        app.before_answer = None
        (later,) = send(port, raw(body))

    assert (answer.status, answer.content) == (500, b"Internal Server Error")
    assert later.status == 200


@pytest.mark.services
@pytest.mark.parametrize("value", [b"a\r\nset-cookie: x", b"a\nb", b"a\rb"])
def test_a_header_that_breaks_its_line_is_never_sent(application, compiled, body, value):
    app = application(compiled)
    app.before_answer = lambda answered: ((b"x-incumbent-log", value),)

    with listening(app) as (_, port), socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(raw(body))

        assert connection.recv(65536) == b""


@pytest.mark.services
def test_a_quiet_connection_is_closed_and_a_half_sent_request_is_still_answered(application, compiled, body):
    whole = raw(body)

    with listening(application(compiled, limits=Limits(keep_alive=0.2))) as (server, port):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as quiet:
            quiet.sendall(whole)
            read = b""
            while part := quiet.recv(65536):
                read += part
        with socket.create_connection(("127.0.0.1", port), timeout=30) as half:
            half.sendall(whole[:-5])
            time.sleep(0.2)
            server.should_exit = True
            time.sleep(0.5)
            half.sendall(whole[-5:])
            answer = half.recv(65536)

    assert read.startswith(b"HTTP/1.1 200 OK")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in answer


@pytest.mark.services
def test_an_experiment_assigns_a_request_once_whichever_way_it_goes(application, compiled, small, body):
    app = application(compiled)
    experiment = Experiment("late-flights/4", 0.5)
    challenger = replace(load_served(small("late").stored), headers=headers_of("late-flights", 4, 0))
    app.routes = Routes.of([compiled], {"late-flights": Comparison(challenger, experiment, unit_reader(()))})
    units = [b"x-incumbent-unit: %d" % number for number in range(40)]

    with listening(app) as (_, port):
        answers = send(port, b"".join(raw(body, unit) for unit in units) + raw(body), answers=41)

    answered = [answer.headers["x-incumbent-version"] for answer in answers]
    assigned = [experiment.assign(str(number)) for number in range(40)]
    assert answered == ["4" if variant is Variant.CHALLENGER else "3" for variant in assigned] + ["3"]
    assert set(answered) == {"3", "4"}
    assert app.counts.unassigned == {("late-flights",): 1}
