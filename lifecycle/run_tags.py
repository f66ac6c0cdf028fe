"""The tags that every MLflow run of the loop carries, handed over as plain strings.

`flows` fills them, the run-context plug-in reads them. They live here so that the plug-in,
which is loaded at every `import mlflow`, needs neither Prefect nor anything heavy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})
_tags: ContextVar[Mapping[str, str]] = ContextVar("incumbent_run_tags", default=_NONE)

FLOW_RUN_ID = "prefect.flow_run_id"
FLOW_NAME = "prefect.flow_name"
DEPLOYMENT = "prefect.deployment"
AS_OF = "incumbent.as_of"
MODEL = "incumbent.model"
STEP = "incumbent.step"
CODE = "incumbent.code"
DATA = "incumbent.data"


def current_tags() -> Mapping[str, str]:
    """The tags of the step that is running; empty outside of one."""
    return _tags.get()


@contextmanager
def tagged(tags: Mapping[str, str]) -> Iterator[None]:
    """Add tags for the duration of a block."""
    token = _tags.set({**_tags.get(), **tags})
    try:
        yield
    finally:
        _tags.reset(token)
