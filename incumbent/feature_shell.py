"""`incumbent features ...` and `incumbent lineage` in the shell: tables or JSON, and an exit code by what was found."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable

from flows.errors import EmptyWindowError, SkewFoundError, SpecError
from flows.exit_codes import DONE
from flows.results import Result
from incumbent.model import Model, load_model
from lifecycle.moments import parse_moment


def features(given: Namespace) -> int:
    """Run the verb about features that was given."""
    verbs: dict[str, Callable[[Model, Namespace], Result]] = {
        "list": lambda model, _: model.list_features(),
        "show": lambda model, given: model.show_feature(given.what),
        "stats": lambda model, given: model.feature_stats(given.start, given.end),
        "freshness": lambda model, given: model.freshness(given.as_of),
        "parity": lambda model, given: model.parity(given.start, given.end),
        "materialize": lambda model, given: model.materialize(given.as_of),
        "push": push,
        "read": read,
    }
    model = load_model(given.model)
    result = verbs[given.about](model, given)
    tell(given, result)
    if given.about == "parity":
        refuse_skew(model, result)
    return DONE


def push(model: Model, given: Namespace) -> Result:
    """Push the rows of a file."""
    from feature_store.intake.readers import csv, parquet

    read = csv if given.file.endswith(".csv") else parquet
    return model.push(given.source, read(given.file)(), batch=given.batch, as_of=given.as_of)


def read(model: Model, given: Namespace) -> Result:
    """Read the features of an entity that was named column by column."""
    pairs = [text.partition("=") for text in given.entity]
    wrong = [column for column, equals, _ in pairs if not equals]
    if wrong:
        raise SpecError("entity", wrong[0], "Write COLUMN=VALUE, for example origin=EWR.")
    return model.read_features({column: value for column, _, value in pairs}, given.as_of)


def lineage(given: Namespace) -> int:
    """Tell where a version or a view comes from and leads to."""
    tell(given, load_model(given.model).lineage(given.what))
    return DONE


def lake(given: Namespace) -> int:
    """Look after the lake."""
    from flows.features.housekeeping import compact_lake, vacuum_lake
    from flows.running import looking, moment_or_now

    with looking() as loop:
        if given.work == "compact":
            result = compact_lake(loop, given.tables)
        else:
            moment = moment_or_now(None)
            result = vacuum_lake(loop, moment, older_than=given.older_than, remove=given.remove, tables=given.tables)
    tell(given, result)
    return DONE


def refuse_skew(model: Model, result: Result) -> None:
    """End with the exit code of what parity found.

    Raises:
        SkewFoundError: something was served otherwise than it is computed.
        EmptyWindowError: nothing was logged, so nothing is known.
    """
    if not result.facts["rows"]:
        newest = result.facts["newest"]
        raise EmptyWindowError("answer", "logged", result.facts["window"], parse_moment(newest) if newest else None)
    if result.facts["skewed"]:
        cells = sum(row["differing"] for row in result.facts["features"])
        raise SkewFoundError(model.name, result.facts["skewed"], cells)


def tell(given: Namespace, result: Result) -> None:
    """Print a result as JSON, or with its tables drawn."""
    if given.json:
        sys.stdout.write(result.to_json() + "\n")
        return
    from flows.showing import show_result

    show_result(result)
