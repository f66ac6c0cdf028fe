"""Results as text, JSON, notebook table and Markdown."""

from __future__ import annotations

import json

import pytest

from flows.results import Result, spoken

RESULT = Result(
    "score",
    "small",
    "2021-04-12T00:00:00Z",
    {"rows": 1234, "mean": 0.51234567, "note": "a|b\n<b>", "none": None, "ok": True, "parts": {"x": 1}, "_kept": [1]},
    {"MLflow run": "http://127.0.0.1:5000/#/x?a=1&b=2"},
    {"mlflow_run_id": "r1"},
)


def test_a_result_comes_back_from_json_as_it_was() -> None:
    assert Result.from_json(RESULT.to_json()) == RESULT
    assert json.loads(RESULT.to_json())["facts"]["_kept"] == [1]


def test_text_shows_facts_without_the_hidden_ones_and_links() -> None:
    lines = str(RESULT).splitlines()

    assert lines[0] == "score small 2021-04-12T00:00:00Z"
    assert ["rows", "1,234"] in [line.split() for line in lines]
    assert "kept" not in str(RESULT)
    assert lines[-1].strip() == "MLflow run: http://127.0.0.1:5000/#/x?a=1&b=2"


def test_html_and_markdown_escape_what_they_show() -> None:
    assert "<b>" not in RESULT._repr_html_()
    assert "&lt;b&gt;" in RESULT._repr_html_()
    assert "a=1&amp;b=2" in RESULT._repr_html_()
    assert "| note | a\\|b <b> |" in RESULT.markdown()


def test_links_and_ids_are_added_not_replaced() -> None:
    more = RESULT.linked({"page": "http://x"}, {"flow_run_id": "f1"})

    assert set(more.links) == {"MLflow run", "page"}
    assert more.ids == {"mlflow_run_id": "r1", "flow_run_id": "f1"}
    assert RESULT.ids == {"mlflow_run_id": "r1"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (2_500_000.0, "2,500,000"),
        (12345, "12,345"),
        (True, "yes"),
        (None, "none"),
        ([], "none"),
        (["a", 2], "a, 2"),
        ({"a": 0.5}, "a: 0.5"),
        ("text", "text"),
    ],
)
def test_values_as_a_person_reads_them(value: object, text: str) -> None:
    assert spoken(value) == text


def test_a_list_of_mappings_is_shown_as_a_table() -> None:
    rows = [{"view": "a|b", "rows": 1234}, {"view": "<c>", "stale": True}]
    result = Result("features list", "small", "", {"count": 2, "views": rows, "_hidden": rows})

    assert [name for name, _ in result.rows()] == ["count"]
    (listing,) = result.tables()
    assert (listing.columns, listing.cells) == (("view", "rows", "stale"), (("a|b", "1,234", ""), ("<c>", "", "yes")))
    assert [line.split() for line in str(result).splitlines()[2:]] == [
        ["views"],
        ["view", "rows", "stale"],
        ["a|b", "1,234"],
        ["<c>", "yes"],
    ]
    assert "<td>&lt;c&gt;</td>" in result._repr_html_()
    assert "| a\\|b | 1,234 |  |" in result.markdown()
    assert Result.from_json(result.to_json()) == result
