"""The locks are complete, hashed, and say nothing about where the packages come from."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-build.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ROOMS = ("lifecycle", "feature_store", "modeling", "monitoring", "mlflow_plugins", "flows", "incumbent")


def locked(name: str) -> dict[str, Version]:
    """Name and version of every entry of a lock."""
    entries = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", (ROOT / name).read_text(), re.MULTILINE)
    return {canonicalize_name(package): Version(version) for package, version in entries}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock):
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())

    without = [entry for entry in entries if not re.search(r"--hash=sha256:[0-9a-f]{64}", entry)]

    assert entries
    assert without == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_an_index(lock):
    text = (ROOT / lock).read_text()

    assert "://" not in text
    assert not re.search(r"^-|--(extra-)?index-url|--find-links", text, re.MULTILINE)


def test_the_lock_satisfies_every_declared_range():
    extras = [line for lines in PROJECT["optional-dependencies"].values() for line in lines]
    versions = locked("requirements.lock")

    unmet = [
        f"{line}, locked {versions.get(canonicalize_name(Requirement(line).name))}"
        for line in [*PROJECT["dependencies"], *extras]
        if versions.get(canonicalize_name(Requirement(line).name), Version("0")) not in Requirement(line).specifier
    ]

    assert unmet == []


def test_every_library_the_rooms_import_is_declared():
    providers = packages_distributions()
    ranges = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["team"]]
    declared = {canonicalize_name(Requirement(line).name) for line in ranges}

    undeclared = {
        f"{path.relative_to(ROOT)} imports {name}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*.py")
        for name in imported_names(path) - sys.stdlib_module_names - set(ROOMS)
        if not declared & {canonicalize_name(provider) for provider in providers.get(name, ())}
    }

    assert undeclared == set()


def imported_names(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    return set(re.findall(r"^\s*(?:from|import) ([A-Za-z_]\w*)(?=[\s.,])", code_only(text), re.MULTILINE))


def code_only(text: str) -> str:
    """The text without docstrings, whose prose may begin a line with `from`."""
    return re.sub(r'"""[\s\S]*?"""', "", text)


def test_the_pinned_libraries_start_together():
    """What a resolve without our three caps gets wrong: each of these failed at import, in one process."""
    script = "import prefect.server.api.server, evidently, mlflow, sqlalchemy; print(sqlalchemy.__version__)"

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr[-2000:]
    # SQLAlchemy 2.1 imports well; Prefect's scheduler only fails to create runs, and only its log says so.
    assert Version(result.stdout.strip()) < Version("2.1")
