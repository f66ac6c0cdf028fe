"""Exit codes, and which one an error ends the command with: usage, data, or anything else."""

from __future__ import annotations

from feature_store import errors as features
from feature_store.online import errors as online
from flows import errors as flows
from lifecycle import errors as lifecycle
from mlflow_plugins import errors as plugins
from modeling import errors as modeling
from monitoring.errors import MonitoringError

DONE, FAILED, USAGE, GATE_SAID_NO, DATA_SAID_NO = 0, 1, 2, 3, 4

OURS = (
    features.FeatureStoreError,
    flows.FlowsError,
    lifecycle.LifecycleError,
    modeling.ModelingError,
    MonitoringError,
    plugins.MlflowPluginsError,
)
"""What is told in one line. Anything else is a fault of the program or of the user's own code, and shows its trace."""

_USAGE = (
    *(features.SpecError, features.NaiveMomentError, features.SuiteUnreadableError),
    *(flows.AsOfError, flows.GridError, flows.GuessError, flows.ModelFileError, flows.NotFittedError),
    *(
        flows.SettingsError,
        flows.SpecError,
        flows.TopError,
        flows.UnknownPolicyError,
        flows.UnknownSourceError,
        flows.UnknownViewError,
    ),
    *(lifecycle.DecisionNotFoundError, lifecycle.MetricError, lifecycle.MomentError, lifecycle.PolicyError),
    *(lifecycle.SpanError, lifecycle.VersionNotFoundError),
    *(modeling.FitFunctionError, modeling.SearchRangeError),
    *(plugins.AmbiguousDecisionError, plugins.LedgerUrlError, plugins.NotServableError),
    plugins.TrackingUriError,
    *(online.StoreAddressError, online.UnsupportedAggregateError),
)
_DATA = (
    *(flows.BatchRefusedError, flows.EmptyWindowError, flows.NothingScoredError),
    *(features.ColumnTypeError, features.ExpectationFailedToRunError, features.MissingColumnsError),
    *(features.ReservedColumnError, features.SchemaChangedError, features.UntypedColumnError),
    *(modeling.ColumnTypeError, modeling.LabelError, modeling.TooFewBlocksError, modeling.TooFewRowsError),
    modeling.UndefinedMetricError,
)


def exit_code(error: Exception) -> int:
    """The code of an error of ours.

    >>> exit_code(lifecycle.MomentError("noon")), exit_code(lifecycle.NoChampionError("late"))
    (2, 1)
    """
    if isinstance(error, flows.GateRefusedError | flows.SkewFoundError):
        return GATE_SAID_NO
    if isinstance(error, _USAGE):
        return USAGE
    return DATA_SAID_NO if isinstance(error, _DATA) else FAILED
