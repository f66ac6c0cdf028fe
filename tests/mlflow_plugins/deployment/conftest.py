"""Models of many kinds, each stored once for the session."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # for asking, odd_requests, small_models

import small_models
from small_models import Small

from mlflow_plugins.deployment.application import Application
from mlflow_plugins.deployment.lane import Lane
from mlflow_plugins.deployment.options import Access, Limits
from mlflow_plugins.deployment.pages import PAGES
from mlflow_plugins.deployment.routes import Routes
from mlflow_plugins.deployment.served import Served


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Small]:
    """A small model by the name of its function."""
    made: dict[str, Small] = {}

    def get(name: str) -> Small:
        if name not in made:
            made[name] = getattr(small_models, name)(tmp_path_factory.mktemp(name) / "model")
        return made[name]

    return get


@pytest.fixture(scope="session")
def application() -> Callable[..., Application]:
    """An application that serves these versions."""

    def make(*served: Served, limits: Limits | None = None, access: Access | None = None) -> Application:
        made = Application(limits or Limits(), access or Access(), Lane(ThreadPoolExecutor(1)), PAGES)
        made.routes = Routes.of(served)
        return made

    return make
