"""Which version was trained on which feature views, tables and rows, in which run; and back from a view."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from feature_store.definitions.feature_view import Feature, feature_names
from feature_store.definitions.spec_text import canonical, spec_text
from feature_store.errors import SpecNotReadableError
from feature_store.offline.spec_reading import read_spec
from flows.features.views import View, find_view, views_of
from flows.model import Model
from flows.results import Result
from flows.wiring import Loop
from lifecycle.errors import NoChampionError
from lifecycle.moments import iso
from lifecycle.ports import RegisteredVersion
from mlflow_plugins.models import GOLDEN, MANIFEST, PREDICTION

VIEWS_TAG = "incumbent.views"
FLOW_RUN_URL = "prefect.flow_run_url"


def views_tag(views: Mapping[str, str]) -> str:
    """Views and their versions as a tag has them: `latest(weather)@1f0c6f0d2b11, request(carrier)@...`."""
    return ", ".join(f"{name}@{version}" for name, version in sorted(views.items()))


def manifest_of(loop: Loop, model: Model, version: int) -> dict[str, Any]:
    """What a registered version tells about itself."""
    path = loop.registry.artifact(model.name, version) / MANIFEST
    found: dict[str, Any] = json.loads(path.read_text())
    return found


@dataclass(frozen=True, slots=True)
class Trained:
    """The feature views that a version was trained on.

    Attributes:
        lost: features of views that nobody can compute again, since a function in them is not loaded any more.
    """

    views: tuple[Feature, ...]
    lost: tuple[str, ...]


def trained_views(loop: Loop, model: Model, version: int) -> Trained:
    """What a version was trained on, from its manifest; the views of the model file where they are equal."""
    in_the_file = {spec_text(view): view for view in model.features}
    found = []
    for plain in json.loads(manifest_of(loop, model, version)["data"]["views"]):
        text = canonical(plain)
        try:
            found.append(in_the_file[text] if text in in_the_file else read_spec(text))
        except SpecNotReadableError:
            continue
    golden = loop.registry.artifact(model.name, version) / GOLDEN
    taken = [name for name in pl.read_parquet_schema(golden) if name != PREDICTION]
    return Trained(tuple(found), tuple(name for name in taken if name not in feature_names(found)))


def champion_views(loop: Loop, model: Model) -> tuple[int | None, dict[str, str]]:
    """The champion's version, and the version of each view that it was trained on; none while there is no champion."""
    try:
        head = loop.ledger.head(model.name)
    except NoChampionError:
        return None, {}
    return head.version, dict(manifest_of(loop, model, head.version).get("views", {}))


def trained_on(loop: Loop, model: Model, view: View) -> dict[str, Any]:
    """The registered versions that learned from a view, as a table; in which definition each did."""
    rows = []
    for registered in loop.registry.versions(model.name):
        views = manifest_of(loop, model, registered.version).get("views", {})
        if view.name in views:
            same = views[view.name] == view.version
            rows.append({"version": registered.version, "view_version": views[view.name], "as_in_the_file": same})
    return {"trained_on_it": rows} if rows else {"trained_on_it": "no registered version"}


def lineage(loop: Loop, model: Model, what: str | int | None = None) -> Result:
    """View, training set, run and version, and back.

    Args:
        what: a version's number, or the name of a view or a feature; without it every version.

    Raises:
        VersionNotFoundError: there is no version of this number.
        UnknownViewError: no view and no feature has this name.
    """
    text = "" if what is None else str(what).removeprefix("v")
    if text.isdigit():
        return _of_version(loop, model, loop.registry.version(model.name, int(text)))
    if what is not None:
        return _of_view(loop, model, find_view(model, str(what)))
    rows = [_row(loop, model, registered) for registered in loop.registry.versions(model.name)]
    return Result("lineage", model.name, "", {"versions": rows or "none registered yet"})


def _of_version(loop: Loop, model: Model, registered: RegisteredVersion) -> Result:
    manifest = manifest_of(loop, model, registered.version)
    data = manifest["data"]
    now = {view.name: view.version for view in views_of(model)}
    views = [
        {"view": name, "version": version, "in_the_file": now.get(name, "gone")}
        for name, version in manifest.get("views", {}).items()
    ]
    epochs = [epoch for epoch in loop.ledger.epochs(model.name) if epoch.version == registered.version]
    told: dict[str, Any] = {
        "version": registered.version,
        "candidate": manifest["candidate"],
        "trained_as_of": manifest["as_of"],
        "rows": data["rows"],
        "content": data["content_digest"],
        "code": manifest["code"],
        "epochs": [f"{epoch.epoch} from {iso(epoch.as_of)}" for epoch in epochs] or "never champion",
        "run": registered.run_id,
        "views": views or "not recorded",
        "tables": [{"table": table, "version": version} for table, version in data["tables"].items()],
    }
    return Result("lineage", model.name, "", told, _pages(loop, registered), {"mlflow_run_id": registered.run_id})


def _of_view(loop: Loop, model: Model, view: View) -> Result:
    told = {"view": view.name, "version": view.version, "features": list(view.feature.names)}
    versions = [
        {**_row(loop, model, registered), "view_version": views[view.name]}
        for registered in loop.registry.versions(model.name)
        if view.name in (views := manifest_of(loop, model, registered.version).get("views", {}))
    ]
    return Result("lineage", model.name, "", {**told, "trained_on_it": versions or "no registered version"})


def _row(loop: Loop, model: Model, registered: RegisteredVersion) -> dict[str, Any]:
    manifest = manifest_of(loop, model, registered.version)
    data = manifest["data"]
    return {
        "version": registered.version,
        "as_of": manifest["as_of"],
        "candidate": manifest["candidate"],
        "rows": data["rows"],
        "content": data["content_digest"][:12],
        "tables": ", ".join(f"{table}@{version}" for table, version in data["tables"].items()),
        "run": registered.run_id,
    }


def _pages(loop: Loop, registered: RegisteredVersion) -> dict[str, str]:
    pages = {"version": loop.registry.url(registered.model, registered.version)}
    if registered.run_id:
        pages["MLflow run"] = loop.tracker.run_url(registered.run_id)
        flow = loop.tracker.run_tags(registered.run_id).get(FLOW_RUN_URL)
        pages |= {"Prefect run": flow} if flow else {}
    return pages
