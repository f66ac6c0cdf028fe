"""The verbs as the shell runs them: results as tables or JSON, errors as one line, exit codes by their cause."""

from __future__ import annotations

import json
import logging
import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.errors import GateRefusedError
from flows.exit_codes import DONE, FAILED, OURS, exit_code
from flows.results import Result
from flows.settings import share_cores
from incumbent.model import Model, load_model
from lifecycle.moments import iso, parse_moment


def run(given: Namespace) -> int:
    """Run the verb that was given."""
    _speak_alone(given.verb)
    verbs: dict[str, Callable[[Namespace], int]] = {
        "init": _init, "quarantine": _quarantine, "backfill": _backfill, "replay": _replay, "why": _why,
        "deploy": _deploy, "serve": _serve, "up": _up, "ui": _up, "doctor": _doctor, "promote": _by_hand,
        "rollback": _by_hand,
        "features": _features, "lineage": _lineage, "lake": _lake, "expect": _expect, "health": _health,
        "requests": _requests, "precompute": _precompute,
    }  # fmt: skip
    try:
        return verbs.get(given.verb, _flow)(given)
    except OURS as error:
        sys.stderr.write(f"incumbent: {error}\n")
        return exit_code(error)
    except KeyboardInterrupt:
        return 130


def _speak_alone(verb: str) -> None:
    """Errors are told in one line: Prefect's traces of them go to its API, Great Expectations' greeting nowhere."""
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.WARNING)  # some loggers of Great Expectations set a level of their own
    console.addFilter(lambda record: not record.name.startswith("prefect."))
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[console])
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    share_cores()  # before a model file imports its library
    if verb not in {"up", "ui"}:  # what a worker's runs say belongs into its log
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")


def _moment(text: str | None) -> datetime:
    """The moment that was named, else this one: here is the outermost shell, where time enters."""
    return parse_moment(text) if text is not None else datetime.now(UTC).replace(microsecond=0)


def _print(given: Namespace, result: Result) -> None:
    sys.stdout.write((result.to_json() if given.json else str(result)) + "\n")


def _flow(given: Namespace) -> int:
    """Any verb that is a flow on a model."""
    from flows.running import begin, do

    model, moment = load_model(given.model), _moment(getattr(given, "as_of", None))
    if given.verb != "check":
        begin()
    result = do(given.verb, model, moment)
    _print(given, result)
    if given.verb == "train" and result.facts.get("action") == "hold":
        raise GateRefusedError(model.name, str(result.facts.get("reason")), given.model)
    return DONE


def _init(given: Namespace) -> int:
    from flows.guessing import Named
    from flows.model_text import write_model_file

    named = Named(given.event_time, given.label, tuple(given.key.split(",")) if given.key else ())
    _print(given, write_model_file(Path(given.data), named, Path(given.output) if given.output else None))
    return DONE


def _quarantine(given: Namespace) -> int:
    import polars as pl

    from feature_store.storage.lake import Lake
    from flows.replay.quarantined import quarantined_rows
    from flows.settings import read_settings

    settings = read_settings()
    options = {name: secret.get_secret_value() for name, secret in settings.lake.options.items()}
    rows = quarantined_rows(Lake(settings.lake_root, storage_options=options or None), load_model(given.model))
    if given.json:
        sys.stdout.write(json.dumps(rows.to_dicts(), default=str) + "\n")
        return DONE
    with pl.Config(tbl_rows=50, fmt_str_lengths=80, tbl_width_chars=160, tbl_hide_dataframe_shape=True):
        sys.stdout.write(f"{rows.height} quarantined rows\n{rows if rows.height else ''}\n")
    return DONE


def _backfill(given: Namespace) -> int:
    from flows.replay.showing import show_summary

    with _walking(given) as (loop, model, start, end):
        from flows.replay.run import run_backfill

        summary = run_backfill(loop, model, start, end)
    if given.json:
        sys.stdout.write(json.dumps(summary.facts(), default=str) + "\n")
    else:
        show_summary(summary, given.model)
    return DONE


def _replay(given: Namespace) -> int:
    from flows.replay.showing import show_comparison

    with _walking(given) as (loop, model, start, end):
        from flows.replay.compare import compare

        comparison = compare(loop, model, (start, end), given.policy.split(","))
    if given.json:
        sys.stdout.write(json.dumps([row.facts() for row in comparison.rows], default=str) + "\n")
    else:
        show_comparison(comparison)
    return DONE


@contextmanager
def _walking(given: Namespace) -> Iterator[tuple[Any, Model, datetime, datetime]]:
    from flows.running import begin, connected

    start, end, model = parse_moment(given.start), parse_moment(given.end), load_model(given.model)
    begin()
    with connected() as loop:
        yield loop, model, start, end


def _why(given: Namespace) -> int:
    _print(given, load_model(given.model).why(given.what))
    return DONE


def _expect(given: Namespace) -> int:
    _print(given, load_model(given.model).expect(given.as_of, write=given.write))
    return DONE


def _health(given: Namespace) -> int:
    _print(given, load_model(given.model).health(given.as_of))
    return DONE


def _features(given: Namespace) -> int:
    from incumbent.feature_shell import features

    return features(given)


def _lake(given: Namespace) -> int:
    from incumbent.feature_shell import lake

    return lake(given)


def _requests(given: Namespace) -> int:
    from flows.requests import compact
    from flows.running import looking

    with looking() as loop:
        _print(given, compact(loop, given.model, _moment(None)))
    return DONE


def _precompute(given: Namespace) -> int:
    from flows.precompute import best_few, precompute_grid, precompute_scores
    from flows.running import looking

    model, moment = load_model(given.model), _moment(given.as_of)
    with looking() as loop:
        if given.grid:
            result = precompute_grid(loop, model, moment, Path(given.grid))
        else:
            result = precompute_scores(loop, model, moment, best_few(model, given.by, given.top))
    _print(given, result)
    return DONE


def _lineage(given: Namespace) -> int:
    from incumbent.feature_shell import lineage

    return lineage(given)


def _deploy(given: Namespace) -> int:
    from flows.running import begin

    model = load_model(given.model)
    start = parse_moment(given.start) if given.start else None
    begin()
    _print(given, model.deploy(start))
    return DONE


def _serve(given: Namespace) -> int:
    from flows.serving import Chosen, serve

    chosen = Chosen(given.host, given.port, given.workers, given.tier, given.canary, given.shadow)
    serve(given.models, chosen)
    return DONE


def _by_hand(given: Namespace) -> int:
    from flows.running import begin, connected

    model, moment = load_model(given.model), _moment(given.as_of)
    begin()
    with connected() as loop:
        from flows.by_hand import promote_by_hand, rollback_by_hand

        loop.models[model.reference] = model
        if given.verb == "promote":
            result = promote_by_hand(model.reference, iso(moment), given.version, given.reason)
        else:
            result = rollback_by_hand(model.reference, iso(moment), given.reason)
    _print(given, result)
    return DONE


def _up(given: Namespace) -> int:
    from flows.settings import read_settings
    from flows.up import serve_until_interrupted

    serve_until_interrupted(read_settings(given.profile), worker=given.verb == "up")
    return DONE


def _doctor(given: Namespace) -> int:
    from flows.doctor import examine

    result, healthy = examine()
    _print(given, result)
    return DONE if healthy else FAILED
