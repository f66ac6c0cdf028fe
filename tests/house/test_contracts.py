"""Each import contract bites: a planted import breaks the contract that forbids it, and no other."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("lifecycle", "feature_store", "modeling", "monitoring", "mlflow_plugins", "flows", "incumbent")
INNER_ROOMS = [
    f"feature_store/{name}" for name in ("definitions", "storage", "intake", "point_in_time", "offline", "online")
]


@pytest.fixture(scope="module")
def empty_rooms(tmp_path_factory) -> Path:
    """The layout and its contracts, with nothing in the rooms yet."""
    copy = tmp_path_factory.mktemp("rooms")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for room in (*ROOMS, *INNER_ROOMS):
        (copy / room).mkdir()
        (copy / room / "__init__.py").touch()
        (copy / room / "present.py").touch()
    for word in ("as_of", "digest", "errors", "span"):
        (copy / "feature_store" / f"{word}.py").touch()
    return copy


def broken_contracts(tree: Path) -> set[str]:
    """Ask import-linter in a process of its own; the names of the contracts it reports as broken."""
    linter = [Path(sys.executable).with_name("lint-imports"), "--no-logo", "--no-cache"]
    result = subprocess.run(linter, cwd=tree, capture_output=True, text=True, check=False)
    verdicts = [line.removesuffix(" BROKEN") for line in result.stdout.splitlines() if line.endswith(" BROKEN")]
    assert (result.returncode == 1) == bool(verdicts), result.stdout + result.stderr
    return set(verdicts)


def test_rooms_without_forbidden_imports_keep_every_contract(empty_rooms):
    assert broken_contracts(empty_rooms) == set()


@pytest.mark.parametrize(
    ("room", "planted", "contract"),
    [
        ("lifecycle", "modeling.present", "Dependencies point inward, and siblings are blind to each other"),
        ("modeling", "monitoring.present", "Dependencies point inward, and siblings are blind to each other"),
        ("feature_store", "lifecycle.present", "feature_store imports nothing of ours, not even lifecycle"),
        (
            "feature_store/storage",
            "feature_store.offline.present",
            "The rooms within feature_store rest on one another one way",
        ),
        ("lifecycle", "polars", "lifecycle uses the standard library only"),
        ("mlflow_plugins", "prefect", "Prefect is imported only in flows"),
        ("flows", "mlflow", "MLflow is imported only in mlflow_plugins"),
        ("flows", "evidently", "Evidently is imported only in monitoring"),
        ("monitoring", "great_expectations", "Great Expectations is imported only in feature_store"),
        ("flows", "optuna", "Optuna is imported only in modeling"),
    ],
)
def test_a_planted_import_breaks_its_contract_and_no_other(empty_rooms, room, planted, contract):
    seed = empty_rooms / room / "planted.py"
    # Inside a function, because that is how a lazy import would smuggle it in.
    seed.write_text(f"def smuggle():\n    import {planted}\n")

    broken = broken_contracts(empty_rooms)

    seed.unlink()
    assert broken == {contract}


def test_lifecycle_imports_nothing_but_the_standard_library():
    """The contract above forbids a list; this one allows a list, so a library nobody thought of is caught."""
    allowed = sys.stdlib_module_names | {"lifecycle"}

    foreign = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / "lifecycle").rglob("*.py")
        for name in top_level_imports(path)
        if name not in allowed
    }

    assert foreign == set()


def top_level_imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    whole = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    parts = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) if node.module}
    return {name.partition(".")[0] for name in whole | parts}
