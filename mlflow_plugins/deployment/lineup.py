"""The versions of one model that a worker holds, and the routes to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lifecycle.experiments import Experiment, Variant, experiment_of
from mlflow_plugins.deployment.experiments import Comparison, unit_reader
from mlflow_plugins.deployment.options import Rollout, StoredModel
from mlflow_plugins.deployment.routes import Routes
from mlflow_plugins.deployment.served import Served


@dataclass(frozen=True, slots=True)
class Lineup:
    """One name of the server.

    Attributes:
        stored: what the operator named; later versions are loaded under its rules.
        champion: what answers for the name; or the version that was asked for by number.
        previous: the champion before, kept loaded so that a rollback takes no time.
        challenger: what answers a share of the units; none where there is no canary.
    """

    stored: StoredModel
    champion: Served
    previous: Served | None = None
    challenger: Served | None = None

    def known(self, version: int, digest: str) -> Served | None:
        """A version that is loaded already."""
        return next((each for each in self.all() if (each.version, each.digest) == (version, digest)), None)

    def all(self) -> Iterator[Served]:
        """The versions, first the one that answers for the name."""
        yield from (each for each in (self.champion, self.challenger, self.previous) if each is not None)

    def crowned(self, fresh: Served, epoch: int) -> Lineup:
        """With another champion; the present one stays as the previous."""
        champion = fresh.appointed(Variant.CHAMPION.value, epoch)
        if fresh.version == self.champion.version:
            return replace(self, champion=champion)
        challenger = self.challenger
        if challenger is not None and challenger.version == fresh.version:
            challenger = None
        previous = self.champion.appointed("", self.champion.epoch)
        return replace(self, champion=champion, previous=previous, challenger=challenger)

    def challenged(self, fresh: Served | None) -> Lineup:
        """With another challenger, or none."""
        return replace(self, challenger=fresh.appointed(Variant.CHALLENGER.value, 0) if fresh is not None else None)


def routes_of(lineups: Sequence[Lineup], rollout: Rollout) -> Routes:
    """Routes to all versions: the first name's champion is the default, and challengers have their share."""
    served = [lineup.champion for lineup in lineups]
    served += [each for lineup in lineups for each in list(lineup.all())[1:]]
    unit = unit_reader(rollout.unit)
    compared = {
        lineup.stored.model: Comparison(lineup.challenger, _experiment(lineup.challenger, rollout), unit)
        for lineup in lineups
        if lineup.challenger is not None and rollout.canary
    }
    return Routes.of(served, compared)


def _experiment(challenger: Served, rollout: Rollout) -> Experiment:
    return Experiment(experiment_of(challenger.model, challenger.version), rollout.canary, rollout.salt)
