"""What a newcomer reads first is true: targets, links, names, and nothing of the workshop."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("lifecycle", "feature_store", "modeling", "monitoring", "mlflow_plugins", "flows", "incumbent")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

# Written so that this file does not match itself: hosts of package registries, paths of one machine.
FORBIDDEN = re.compile(
    r"(py)(pi)\.(org)|(python)(hosted)|(registry)\.(npm)|(deb)\.(debian)|/(work|farm)/|\.\.(/)shared|/(\.)library"
    r"|farm-(bench|studio)",
    re.IGNORECASE,
)
VAGUE_MODULES = {"utils", "util", "helpers", "common", "misc", "base"}
VAGUE_MODULES |= {"manager", "handler", "processor", "service", "core"}


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_every_make_target_is_documented():
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    prose = "\n".join(path.read_text() for path in DOCUMENTS)

    undocumented = [target for target in targets if f"`make {target}`" not in prose]

    assert "install" in targets
    assert undocumented == []


def test_make_without_an_argument_prints_every_target():
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}

    result = subprocess.run(["make"], cwd=ROOT, env=quiet, capture_output=True, text=True, check=True)

    for target in ("install", "run", "test", "check", "stress", "bench", "peers", "ui", "clean", "lock"):
        assert re.search(rf"^  {target} +\S", result.stdout, re.MULTILINE), result.stdout


def test_continuous_integration_runs_check_and_test():
    script = ROOT / ".ci" / "run"

    assert os.access(script, os.X_OK)
    assert {"make check", "make test"} <= set(re.findall(r"^make \w+", script.read_text(), re.MULTILINE))


def test_no_tracked_file_names_a_registry_or_a_path_of_one_machine():
    found = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image or a Parquet file
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in FORBIDDEN.finditer(text)]

    assert found == []


def test_no_module_is_named_by_its_kind():
    modules = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]

    assert [path for path in modules if path.stem in VAGUE_MODULES] == []


@pytest.mark.parametrize("folder", ["benchmarks", "docs", "examples", "infra", "tests"])
def test_folders_that_are_no_packages_have_no_init(folder):
    assert list((ROOT / folder).rglob("__init__.py")) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_of_a_document_leads_somewhere(document):
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_document_can_be_reached_from_the_index():
    docs = ROOT / "docs"
    reached, waiting = set(), [docs / "index.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [page.parent / link for link in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())]

    assert {page.resolve() for page in docs.rglob("*.md")} - reached == set()


def test_the_readme_fits_on_two_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 100


def test_every_entry_point_of_ours_loads():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]

    for group, points in declared.items():
        for name in points:
            (point,) = entry_points(group=group, name=name)
            assert point.load() is not None


def test_every_example_in_a_docstring_runs():
    with_examples = [
        path
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if re.search(r"^\s*>>> ", path.read_text(), re.MULTILINE)
    ]
    command = [sys.executable, "-m", "pytest", "-q", "--doctest-modules", "-p", "no:cacheprovider"]

    result = subprocess.run([*command, *with_examples], cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout
