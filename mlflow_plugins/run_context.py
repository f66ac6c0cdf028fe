"""The run-context plug-in: every MLflow run made in a step of the loop carries its Prefect run and its data.

MLflow loads this module at every `import mlflow`, so it imports nothing but the tags themselves. It does
not inherit from `mlflow.tracking.context.abstract_context.RunContextProvider`, nor does MLflow ask it to:
importing that imports mlflow, which would load this module a second time, before its class exists.
"""

from __future__ import annotations

from lifecycle.run_tags import current_tags


class IncumbentRunContext:
    """Hands the tags of the step that is running to MLflow."""

    def in_context(self) -> bool:
        """Whether a step of the loop is running."""
        return bool(current_tags())

    def tags(self) -> dict[str, str]:
        """The tags of that step."""
        return dict(current_tags())
