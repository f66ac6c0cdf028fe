"""The server's description as OpenAPI, with each model's own columns and rows to try."""

from __future__ import annotations

import re
from importlib.metadata import version
from typing import Any

from mlflow_plugins.deployment.columns import Column, Kind
from mlflow_plugins.deployment.routes import Routes
from mlflow_plugins.deployment.served import Served

_TYPES: dict[Kind, dict[str, Any]] = {
    Kind.DOUBLE: {"type": ["number", "null"], "format": "double"},
    Kind.FLOAT: {"type": ["number", "null"], "format": "float"},
    Kind.LONG: {"type": "integer", "format": "int64"},
    Kind.INTEGER: {"type": "integer", "format": "int32"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.STRING: {"type": ["string", "null"]},
    Kind.DATETIME: {"type": ["string", "null"], "format": "date-time"},
}


def openapi(routes: Routes) -> dict[str, Any]:
    """OpenAPI 3.1 of everything that is served now."""
    paths: dict[str, Any] = {
        path: {"post": _scoring(served)} for path, served in routes.invocations.items() if "/versions/" not in path
    }
    for path, told in (
        ("/ping", "200 while the process lives (MLflow's)"),
        ("/health", "the same (MLflow's)"),
        ("/version", "MLflow's version"),
        ("/ready", "200 when requests should be sent here, 503 before the model is warm and while draining"),
        ("/models", "what is served, at which tier, and why not at a higher one"),
        ("/metrics", "Prometheus' text format"),
        ("/v2", "the Open Inference Protocol; models lie under /v2/models/NAME"),
    ):
        paths[path] = {"get": {"summary": told, "responses": {"200": {"description": "OK"}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Incumbent scoring server", "version": version("incumbent")},
        "paths": paths,
        "components": {"schemas": {_key(each): _row(each.columns) for each in routes.all() if each.columns}},
    }


def _key(served: Served) -> str:
    """The name of a row's schema; OpenAPI allows few characters there."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", f"{served.model}-{served.version}")


def _row(columns: tuple[Column, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {column.name: _TYPES[column.kind] for column in columns},
        "required": [column.name for column in columns],
    }


def _scoring(served: Served) -> dict[str, Any]:
    answer = {"type": "object", "properties": {"predictions": {"type": "array"}}, "required": ["predictions"]}
    return {
        "summary": f"Predictions of {served.model}, one for each row",
        "requestBody": {"required": True, "content": {"application/json": _body(served)}},
        "responses": {
            "200": {"description": "Predictions", "content": {"application/json": {"schema": answer}}},
            "400": {"description": "What MLflow says about a request that does not fit"},
            "413": {"description": "The body is too large"},
            "415": {"description": "Another content type; MLflow also reads CSV and Parquet"},
            "503": {"description": "Too much to do, or no model yet; try again after Retry-After seconds"},
        },
    }


def _body(served: Served) -> dict[str, Any]:
    names = [column.name for column in served.columns]
    if not names:
        return {"schema": {"type": "object"}}
    row = {"$ref": f"#/components/schemas/{_key(served)}"}
    rows = [[example[name] for name in names] for example in served.examples]
    split = {
        "type": "object",
        "properties": {"columns": {"const": names}, "data": {"type": "array", "items": {"type": "array"}}},
        "required": ["columns", "data"],
    }
    formats = {"dataframe_records": {"type": "array", "items": row}, "dataframe_split": split}
    return {
        "schema": {
            "oneOf": [{"type": "object", "properties": {key: of}, "required": [key]} for key, of in formats.items()]
        },
        "examples": {
            "records": {"value": {"dataframe_records": [dict(example) for example in served.examples]}},
            "split": {"value": {"dataframe_split": {"columns": names, "data": rows}}},
        },
    }
