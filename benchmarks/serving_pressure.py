"""What moves the answers of a server under pressure: swaps, a canary, a slow challenger, a second worker, attackers.

The described model, compiled, on one worker pinned to one core; the load keeps a rate from the other core, on 16
connections, and a late answer counts from the moment at which it should have been asked. The slow challenger computes
for two seconds in Python for each request, on the server's core. Workers are compared at the tier `typed`, whose
milliseconds leave the load client next to nothing of a core; that needs both cores, so on a machine that has other
work look at `by_cpu`, which is twice the CPU of a request with one worker over that with two. What is compared is
measured in turns, and the round that was disturbed least counts.
The last line is JSON.

    python -m benchmarks.serving_pressure [SECONDS-A-CELL]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.load.cells import CLIENT_CORE, SERVER_CORE, Running, serving
from benchmarks.load.models import bodies
from benchmarks.load.registered import MODEL, Registered
from lifecycle.experiments import Experiment, Variant, experiment_of
from mlflow_plugins.deployment.options import Limits, Rollout
from mlflow_plugins.deployment.tier import Tier

SECONDS = 5.0
ROUNDS = 3
RATE, CONNECTIONS = 400, 16
CANARY = 0.1
SLOW_ONES, LARGE_ONES = 200, 4


def main() -> None:
    """Measure, tell, and print the JSON."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    os.sched_setaffinity(0, {CLIENT_CORE})
    with tempfile.TemporaryDirectory(prefix="incumbent-pressure-") as scratch:
        registered = Registered(Path(scratch))
        good = [registered.register(iterations) for iterations in (200, 190, 180)]
        body = Path(scratch) / "body.json"
        body.write_bytes(bodies()[1])
        result = {
            **_one_worker(registered, good, body, seconds),
            "canary": _canary(registered, good, body, seconds),
            "slow_challenger": _slow_challenger(registered, good, body, seconds),
            "workers": _workers(registered, good, body, seconds),
        }
    print(json.dumps(result))


def _one_worker(registered: Registered, good: list[int], body: Path, seconds: float) -> dict[str, Any]:
    """In turns on one server: nothing, a swap every 1.5 s, and attackers."""
    limits = Limits(head_timeout=3.0)
    cells: dict[str, list[dict[str, Any]]] = {"quiet": [], "swaps": [], "attackers": []}
    promoted: dict[int, float] = {}

    def promote_now_and_then() -> None:
        for _ in range(max(1, int(seconds / 1.5) - 1)):
            epoch, at = registered.promote(good[len(promoted) % 3])
            promoted[epoch] = at
            time.sleep(1.5)

    with serving(registered.options(good[2], tier=Tier.COMPILED, limits=limits), "compiled", MODEL) as server:
        _paced(server, body, seconds / 2)
        for _ in range(ROUNDS):
            cells["quiet"].append(_told("quiet", _paced(server, body, seconds)))
            cells["swaps"].append(_told("swaps", _paced(server, body, seconds, promote_now_and_then)))
            time.sleep(2.0)  # the last one is taken up
            cells["attackers"].append(_told("attackers", _attacked(server, body, seconds)))
        published = _counted(server, 'outcome="published"')
    return {
        "quiet": _best(cells["quiet"]),
        "swaps": {**_best(cells["swaps"], cells["quiet"]), "promoted": len(promoted), "published": published},
        "attackers": {**_best(cells["attackers"], cells["quiet"])},
    }


def _canary(registered: Registered, good: list[int], body: Path, seconds: float) -> dict[str, Any]:
    """What a canary costs, and the share that it gets."""
    challenger = good[1]
    registered.challenge(challenger)
    options = registered.options(good[0], tier=Tier.COMPILED, rollout=Rollout(canary=CANARY, salt="bench"))
    with serving(options, "canary", MODEL) as server:
        _paced(server, body, seconds / 2)
        found = _told("canary", _paced(server, body, seconds))
    experiment = Experiment(experiment_of(MODEL, challenger), CANARY, "bench")
    units = [f"unit {number}" for number in range(found["requests"])]
    expected = sum(experiment.assign(unit) is Variant.CHALLENGER for unit in units)
    return {**found, "challenger": found["versions"].get(str(challenger), 0), "expected": expected}


def _slow_challenger(registered: Registered, good: list[int], body: Path, seconds: float) -> dict[str, Any]:
    """In turns on one server: its shadow stopped, and its shadow computing two seconds for each request."""
    registered.challenge(registered.register_slow())
    options = registered.options(good[0], tier=Tier.COMPILED, rollout=Rollout(shadow=1.0))
    cells: dict[str, list[dict[str, Any]]] = {"stopped": [], "computing": []}
    with serving(options, "shadow", MODEL) as server:
        _until(server, "incumbent_shadow_model{")
        (shadow,) = psutil.Process(server.process.pid).children()
        _paced(server, body, seconds / 2)
        for _ in range(ROUNDS):
            shadow.suspend()
            cells["stopped"].append(_told("shadow stopped", _paced(server, body, seconds)))
            shadow.resume()
            before = sum(shadow.cpu_times()[:2])
            cells["computing"].append(_told("shadow of 2 s", _paced(server, body, seconds)))
            cells["computing"][-1]["shadow_cpu_s"] = round(sum(shadow.cpu_times()[:2]) - before, 2)
        counts = {outcome: _counted(server, f'outcome="{outcome}"') for outcome in ("scored", "failed", "dropped")}
    return {
        "stopped": _best(cells["stopped"]),
        "computing": _best(cells["computing"], cells["stopped"]),
        "shadow": counts,
        "shadow_cpu_s": [cell["shadow_cpu_s"] for cell in cells["computing"]],
    }


def _workers(registered: Registered, good: list[int], body: Path, seconds: float) -> dict[str, Any]:
    """In turns one worker and two, each saturated; then how fast both follow promotions and rollbacks."""
    metrics = Path(tempfile.mkdtemp(prefix="metrics-", dir=body.parent))
    single = registered.options(good[0], tier=Tier.TYPED)
    double = registered.options(good[0], tier=Tier.TYPED, workers=2, metrics_folder=str(metrics))
    both_cores = (SERVER_CORE, CLIENT_CORE)
    with serving(single, "1 worker", MODEL) as one, serving(double, "2 workers", MODEL, both_cores) as two:
        _until_both(metrics)
        ones, twos = [], []
        for _ in range(ROUNDS):
            ones.append(one.measure(CONNECTIONS, 1, body, seconds / 2))
            twos.append(two.measure(CONNECTIONS, 1, body, seconds / 2))
            print(f"workers: {ones[-1].per_second:.0f} and {twos[-1].per_second:.0f} requests a second", flush=True)
        followed, promoted = _followed(registered, good, two, body)
    fastest = max(cell.per_second for cell in ones), max(cell.per_second for cell in twos)
    cheapest = min(cell.cpu_us for cell in ones), min(cell.cpu_us for cell in twos)
    delays = _delays(followed, promoted)
    return {
        "one": [cell.facts() for cell in ones],
        "two": [cell.facts() for cell in twos],
        "ratio": round(fastest[1] / fastest[0], 2),
        "limit_by_cpu": _limit(),
        "by_cpu": round(2 * cheapest[0] / cheapest[1], 2),
        "statuses": followed["statuses"],
        "promoted_to_answering_on_all_s": delays[::2],
        "rolled_back_on_all_s": delays[1::2],
    }


def _limit() -> float:
    """What two cores give of one: a loop of Python on one core alone, and on both at once."""
    loop = "import time; sum(i * i % 7 for i in range(8_000_000)); print(time.process_time())"

    def seconds(cores: tuple[int, ...]) -> float:
        loops = [subprocess.Popen([sys.executable, "-c", loop], stdout=subprocess.PIPE) for _ in cores]
        for process, core in zip(loops, cores, strict=True):
            os.sched_setaffinity(process.pid, {core})
        return max(float(process.communicate()[0]) for process in loops)

    alone = min(seconds((SERVER_CORE,)) for _ in range(ROUNDS))
    return round(2 * alone / min(seconds((SERVER_CORE, CLIENT_CORE)) for _ in range(ROUNDS)), 2)


def _followed(
    registered: Registered, good: list[int], server: Running, body: Path
) -> tuple[dict[str, Any], dict[int, float]]:
    """Promote and roll back under a light load, and see when each connection was first answered by each epoch."""
    promoted: dict[int, float] = {}
    turns = [good[1], good[0]] * ROUNDS

    def promote_and_roll_back() -> None:
        for version in turns:
            time.sleep(1.0)
            epoch, at = registered.promote(version)
            promoted[epoch] = at
            time.sleep(4.0)

    return _paced(server, body, 5.0 * len(turns) + 1, promote_and_roll_back, rate=50), promoted


def _best(cells: list[dict[str, Any]], base: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The round that was disturbed least, and how its p99 compares with the base's such round."""
    best = min(cells, key=lambda cell: float(cell["p99_ms"]))
    every = {"p99_ms_of_each_round": [cell["p99_ms"] for cell in cells]}
    if base is None:
        return {**best, **every}
    least = min(float(cell["p99_ms"]) for cell in base)
    statuses = sum((Counter(cell["statuses"]) for cell in cells), Counter())
    return {**best, **every, "statuses": dict(statuses), "p99_ratio": round(float(best["p99_ms"]) / least, 2)}


def _paced(
    server: Running, body: Path, seconds: float, meanwhile: Callable[[], None] | None = None, rate: float = RATE
) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.load.paced", str(server.port), str(CONNECTIONS), str(rate)]
    before = server.cpu_seconds()
    client = subprocess.Popen([*command, str(seconds), str(body)], stdout=subprocess.PIPE)
    beside = threading.Thread(target=meanwhile) if meanwhile is not None else None
    if beside is not None:
        beside.start()
    output, _ = client.communicate(timeout=60 + 10 * seconds)
    if beside is not None:
        beside.join()
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    found["cpu_us"] = 1e6 * (server.cpu_seconds() - before) / found["requests"]
    return found


def _attacked(server: Running, body: Path, seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.load.attackers", str(server.port), str(seconds + 1)]
    attackers = subprocess.Popen([*command, str(SLOW_ONES), str(LARGE_ONES)], stdout=subprocess.PIPE)
    found = _paced(server, body, seconds)
    output, _ = attackers.communicate(timeout=120)
    return {**found, "turned_away": json.loads(output.splitlines()[-1])}


def _told(what: str, found: dict[str, Any]) -> dict[str, Any]:
    times = "".join(f"{found[name]:>10.2f}" for name in ("p50_ms", "p99_ms", "max_ms"))
    print(f"{what:<16}{found['requests']:>8}{times}{found['cpu_us']:>10.0f}  {found['statuses']}", flush=True)
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in found.items()}


def _delays(found: dict[str, Any], promoted: dict[int, float]) -> list[float]:
    """From the record of each epoch to its first answer on the last connection, for epochs that all of them saw."""
    return [
        round(found["epochs"][str(epoch)][1] - at, 3)
        for epoch, at in sorted(promoted.items())
        if str(epoch) in found["epochs"]
    ]


def _metrics(server: Running) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as answer:
        return str(answer.read().decode()).splitlines()


def _counted(server: Running, part: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in _metrics(server) if part in line and line[0] != "#")


def _until(server: Running, part: str) -> None:
    while not any(line.startswith(part) for line in _metrics(server)):
        time.sleep(0.2)


def _until_both(metrics: Path) -> None:
    """Wait until each worker publishes its counts; it does so from when it listens."""
    while len(list(metrics.glob("worker-*.json"))) < 2:
        time.sleep(0.2)


if __name__ == "__main__":
    main()
