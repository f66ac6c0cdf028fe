"""Which version answers which address: one immutable table, replaced as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from mlflow_plugins.deployment.experiments import Comparison
from mlflow_plugins.deployment.served import Served


@dataclass(frozen=True, slots=True)
class Routes:
    """A request takes this table once and keeps it: no request sees half of a swap.

    Attributes:
        default: what answers at `/invocations`.
        invocations: by path.
        versions: by name, then by version; the version that answers for a name without a version comes first.
        comparisons: by path, where a challenger answers some of the units.
    """

    default: Served | None
    invocations: Mapping[str, Served]
    versions: Mapping[str, Mapping[str, Served]]
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)

    @classmethod
    def of(cls, served: Sequence[Served], comparisons: Mapping[str, Comparison] = MappingProxyType({})) -> Routes:
        """Routes to these; the first is the default, and the first of a name answers for the name.

        Args:
            comparisons: by name of the model.
        """
        invocations: dict[str, Served] = {}
        versions: dict[str, dict[str, Served]] = {}
        for each in served:
            invocations.setdefault("/invocations", each)
            invocations.setdefault(f"/models/{each.model}/invocations", each)
            invocations.setdefault(f"/models/{each.model}/versions/{each.version}/invocations", each)
            versions.setdefault(each.model, {}).setdefault(str(each.version), each)
        compared = {
            path: comparisons[each.model]
            for path, each in invocations.items()
            if each.model in comparisons and "/versions/" not in path
        }
        return cls(
            served[0] if served else None,
            MappingProxyType(invocations),
            MappingProxyType(versions),
            MappingProxyType(compared),
        )

    def find(self, model: str, version: str | None = None) -> Served | None:
        """What answers for a name, or for one version of it."""
        known = self.versions.get(model, {})
        return known.get(version) if version is not None else next(iter(known.values()), None)

    def all(self) -> list[Served]:
        """Everything that is served."""
        return [each for versions in self.versions.values() for each in versions.values()]


NOTHING = Routes.of([])
