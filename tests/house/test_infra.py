"""Profiles hold what the settings know; the Compose file holds no secret and opens no port to the world."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from flows.settings import Settings, read_settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "infra" / "compose.yaml"
PROFILES = sorted((ROOT / "infra").glob("*.toml"))
SECRET = re.compile(r"password|secret|access_key|auth", re.IGNORECASE)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem)
def test_every_key_of_a_profile_is_a_setting(profile):
    settings = read_settings(profile)

    assert isinstance(settings, Settings)


def test_there_is_a_profile_for_a_laptop_and_one_for_production():
    assert {path.stem for path in PROFILES} >= {"laptop", "production"}


def test_every_setting_is_documented_with_its_variable():
    page = (ROOT / "docs" / "reference" / "settings.md").read_text()

    for table, field in Settings.model_fields.items():
        for key in type(field.default).model_fields:
            assert f"`[{table}] {key}`" in page
            assert f"`INCUMBENT_{table.upper()}__{key.upper()}" in page


def test_no_secret_stands_in_the_profiles_or_the_compose_file():
    for path in [*PROFILES, COMPOSE]:
        for line in uncommented(path):
            _, _, value = line.partition("=" if path.suffix == ".toml" else ": ")
            if SECRET.search(line) and value.strip():
                assert re.search(r"\$\{\w+(:\?[^}]*)?\}", value), f"{path.name}: {line.strip()}"


def test_every_port_is_opened_on_loopback_only():
    services = yaml.safe_load(COMPOSE.read_text())["services"]

    opened = [port for service in services.values() for port in service.get("ports", [])]

    assert opened
    assert [port for port in opened if not port.startswith("127.0.0.1:")] == []


def test_every_variable_of_the_compose_file_is_in_the_example():
    needed = set(re.findall(r"\$\{(\w+):\?", COMPOSE.read_text()))
    offered = set(re.findall(r"^(\w+)=$", (ROOT / "infra" / "compose.env.example").read_text(), re.MULTILINE))

    assert needed == offered


def uncommented(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
