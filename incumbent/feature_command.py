"""The options of `incumbent features`; nothing heavy is imported."""

from __future__ import annotations

import argparse

_TOLD = {
    "list": "every feature view with version, source and reach, and whether the champion was trained on another",
    "show": "the definition and version of a view or a feature, and the versions trained on it",
    "stats": "count, nulls, and moments or frequent values per feature, over a window of stored questions",
    "freshness": "newest times and rows behind each view, and which views are stale",
    "materialize": "bring the online store up to what the lake knew: only what has changed, taken up where a run ended",
    "push": "take the rows of a file in, and bring them online at once",
    "read": "the features of one entity from the online store, beside what the lake computes for the same moment",
    "parity": "compute logged serving features again, and report every one that was served otherwise",
}


def add_features(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # generic only in stubs
    """Add `features` and what can be asked about them."""
    told = "what a model's features are, how fresh, and whether they are served as they are computed"
    features = verbs.add_parser("features", help=told, description=told)
    about = features.add_subparsers(dest="about", metavar="WHAT", required=True)
    for name, meaning in _TOLD.items():
        verb = about.add_parser(name, help=meaning, description=meaning)
        verb.add_argument("model", metavar="MODEL", help="as for the other verbs")
        if name == "show":
            verb.add_argument("what", metavar="VIEW", help="name of a view or of a feature")
        if name in {"stats", "parity"}:
            verb.add_argument("--from", dest="start", metavar="MOMENT", help="by default a window of the policy before")
            verb.add_argument("--to", dest="end", metavar="MOMENT", help="with a zone; by default this moment")
        if name == "push":
            verb.add_argument("source", metavar="SOURCE", help="name of a source of the model")
            verb.add_argument("file", metavar="FILE", help="a Parquet or CSV file with the columns of the source")
            verb.add_argument("--batch", metavar="ID", help="an id under which a repetition is recognised as one")
        if name == "read":
            verb.add_argument("entity", metavar="COLUMN=VALUE", nargs="+", help="for example origin=EWR tailnum=N14228")
        if name in {"freshness", "materialize", "push", "read"}:
            verb.add_argument("--as-of", metavar="MOMENT", help="with a zone; by default this moment")
        verb.add_argument("--json", action="store_true", help="print the result as JSON")


def add_requests(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # generic only in stubs
    """Add `requests` and what can be done with them."""
    told = "what the scoring servers logged"
    requests = verbs.add_parser("requests", help=told, description=told)
    works = requests.add_subparsers(dest="work", metavar="WORK", required=True)
    meaning = "bring finished segments of the log into the lake, each record once"
    compact = works.add_parser("compact", help=meaning, description=meaning)
    compact.add_argument("model", metavar="MODEL", help="a model file, or the name of any registered model")
    compact.add_argument("--json", action="store_true", help="print the result as JSON")


def add_precompute(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # generic only in stubs
    """Add `precompute`."""
    told = (
        "answers by key for the scoring server: the newest batch scores, the best few, or every combination of a grid"
    )
    verb = verbs.add_parser("precompute", help=told, description=told)
    verb.add_argument("model", metavar="MODEL", help="as for the other verbs")
    verb.add_argument("--as-of", metavar="MOMENT", help="the end of the window, with a zone; by default this moment")
    verb.add_argument("--by", metavar="COLUMNS", default="", help="with --top: of whom, joined by commas")
    verb.add_argument("--top", metavar="COUNT", type=int, default=0, help="also the best so many for each of --by")
    verb.add_argument("--grid", metavar="FILE", help="instead, every combination of the values in this JSON file")
    verb.add_argument("--json", action="store_true", help="print the result as JSON")


def add_lake(verbs: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # generic only in stubs
    """Add `lake` and what can be done for it."""
    told = "look after the tables of the lake: fewer files, and none that nothing names"
    lake = verbs.add_parser("lake", help=told, description=told)
    works = lake.add_subparsers(dest="work", metavar="WORK", required=True)
    for name, meaning in (
        ("compact", "put small files together; rows and earlier versions stay as they are"),
        ("vacuum", "tell, or with --remove remove, the files that no training set and no recent version needs"),
    ):
        verb = works.add_parser(name, help=meaning, description=meaning)
        verb.add_argument("tables", metavar="TABLE", nargs="*", help="for example sources/flights; by default all")
        if name == "vacuum":
            verb.add_argument(
                "--older-than", metavar="SPAN", default="7d", help="also keep versions newer than this; 7d"
            )
            verb.add_argument("--remove", action="store_true", help="remove them; without it nothing is changed")
        verb.add_argument("--json", action="store_true", help="print the result as JSON")
