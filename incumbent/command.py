"""The command `incumbent`: verbs in, exit codes out. Nothing heavy is imported before a verb is known.

Exit codes: 0 done, 2 usage, 3 a gate said no, 4 the data said no, 1 anything else.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from incumbent.feature_command import add_features, add_lake, add_precompute, add_requests

DONE, FAILED, USAGE, GATE_SAID_NO, DATA_SAID_NO = 0, 1, 2, 3, 4

_MODEL_VERBS = {
    "check": "the spec, the schema, leakage, and a dry run on a sample",
    "ingest": "validate what has become known, store the good, quarantine the bad",
    "train": "fit the candidates, gate the best, register it, decide on it",
    "score": "batch predictions of one window with the champion",
    "monitor": "one window: evidence, and a report where a person will look",
    "decide": "ask the policy about the window's evidence, and do what it says",
    "quarantine": "the rows that were held back, with reason and value",
}


def parser() -> argparse.ArgumentParser:
    """Every verb with its options."""
    top = argparse.ArgumentParser(prog="incumbent", description="Keep the best model in production.")
    top.add_argument("--version", action="store_true", dest="print_version", help="print the version")
    verbs = top.add_subparsers(dest="verb", metavar="VERB")
    _add_init(verbs)
    for name, told in _MODEL_VERBS.items():
        _add(verbs, name, told, moment=name not in {"check", "quarantine"})
    _add_by_hand(verbs)
    for name, told in (
        ("backfill", "the loop over the past, in logical time, into the real registry"),
        ("replay", "the loop over the past once per policy, in a temporary registry; policies side by side"),
    ):
        verb = _add(verbs, name, told, moment=False)
        verb.add_argument("--from", dest="start", required=True, metavar="MOMENT", help="first moment, with a zone")
        verb.add_argument("--to", dest="end", required=True, metavar="MOMENT", help="last moment, with a zone")
        if name == "replay":
            verb.add_argument(
                "--policy", default="never,monthly,drift,worse", help="never, monthly, drift, worse, model"
            )
    why = _add(verbs, "why", "the record of a version or decision, told so that a person understands it", moment=False)
    why.add_argument("what", nargs="?", help="version number or decision id; without it, the list of decisions")
    lineage = _add(verbs, "lineage", "from feature view to training set, run and version, and back", moment=False)
    lineage.add_argument("what", nargs="?", help="version number, view or feature; without it, every version")
    expect = _add(verbs, "expect", "infer what each source's next batch should be like; --write keeps it", moment=True)
    expect.add_argument("--write", action="store_true", help="write expectations/SOURCE.json beside the model file")
    _add(verbs, "health", "slow steps, scoring servers, age of features; renews Prometheus' text file", moment=True)
    add_features(verbs)
    add_lake(verbs)
    add_requests(verbs)
    add_precompute(verbs)
    deploy = _add(verbs, "deploy", "Prefect deployments, schedules, and the automation that retrains", moment=False)
    deploy.add_argument("--start", metavar="MOMENT", help="anchor of the schedules, with a zone")
    _add_serve(verbs)
    _add_local(verbs)
    return top


def _add(verbs: argparse._SubParsersAction, name: str, told: str, *, moment: bool) -> argparse.ArgumentParser:  # type: ignore[type-arg]  # generic only in stubs
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=told, description=told)
    verb.add_argument(
        "model", metavar="MODEL", help="path/to/model.py, path/to/model.py:name, or the folder of a model.py"
    )
    if moment:
        verb.add_argument(
            "--as-of", metavar="MOMENT", help="the moment it is about, with a zone; by default this moment"
        )
    verb.add_argument("--json", action="store_true", help="print the result as JSON")
    return verb


def _add_init(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # generic only in stubs
    told = "write a model file from a CSV or Parquet file: guesses key, times and label, and says what it guessed"
    verb = verbs.add_parser("init", help=told, description=told)
    verb.add_argument("data", metavar="DATA", help="a CSV or Parquet file")
    for flag, meaning in (
        ("--event-time", "column that says when a row happened"),
        ("--label", "column to predict"),
        ("--key", "columns that identify a row, joined by commas"),
        ("--output", "where to write; model.py beside the data by default"),
    ):
        verb.add_argument(flag, metavar="COLUMN" if flag != "--output" else "FILE", help=meaning)
    verb.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_by_hand(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # generic only in stubs
    for name, told in (
        ("promote", "make a version the champion by hand; recorded like any decision"),
        ("rollback", "bring the previous champion back by hand; recorded like any decision"),
    ):
        verb = _add(verbs, name, told, moment=True)
        if name == "promote":
            verb.add_argument("version", type=int, help="number of the registered version")
        verb.add_argument("--reason", required=True, help="why; it goes into the record")


def _add_serve(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # generic only in stubs
    told = "the HTTP scoring server, until SIGTERM or Ctrl-C; MLflow's addresses and answers, and more"
    verb = verbs.add_parser("serve", help=told, description=told)
    verb.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="NAME (its champion), NAME/VERSION, NAME@ALIAS, or a model file; the first answers at /invocations",
    )
    verb.add_argument("--host", help="address to listen on; 127.0.0.1 by default")
    verb.add_argument("--port", type=int, help="port to listen on, 0 for any free one; 8000 by default")
    verb.add_argument("--workers", type=int, help="processes; one for each core by default")
    verb.add_argument(
        "--canary", type=_share, metavar="SHARE", help="share of the units that the challenger answers, from 0 to 1"
    )
    verb.add_argument(
        "--shadow", type=_share, metavar="SHARE", help="share of the requests that the challenger scores afterwards"
    )
    verb.add_argument(
        "--tier",
        choices=["mlflow", "typed", "microbatch", "compiled"],
        help="the highest tier to use; by default the highest that proves itself",
    )


def _share(text: str) -> float:
    """A number from 0 to 1; argparse words the error."""
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return share


def _add_local(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # generic only in stubs
    for name, told in (
        ("up", "MLflow, Prefect and a worker for the deployments, until Ctrl-C"),
        ("ui", "MLflow and Prefect, and their addresses, until Ctrl-C"),
        ("doctor", "what is wrong with this installation"),
    ):
        verb = verbs.add_parser(name, help=told, description=told)
        if name != "doctor":
            verb.add_argument("--profile", metavar="FILE", help="settings to use instead of incumbent.toml")
        else:
            verb.add_argument("--json", action="store_true", help="print the result as JSON")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and answer its exit code."""
    top = parser()
    given = top.parse_args(arguments)
    if given.print_version:
        from importlib.metadata import version

        sys.stdout.write(f"incumbent {version('incumbent')}\n")
        return DONE
    if given.verb is None:
        top.print_help()
        return USAGE
    from incumbent.shell import run

    return run(given)


if __name__ == "__main__":
    sys.exit(main())
