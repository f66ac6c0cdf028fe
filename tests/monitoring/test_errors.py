import pytest

from monitoring import errors
from monitoring.errors import MonitoringError

MESSAGES = [
    (
        errors.MissingColumnsError("Realised performance", ["label"], ["prediction", "block"]),
        "Realised performance needs the columns ['label'], and the frame has ['block', 'prediction']. "
        "Join them to the predictions first.",
    ),
    (
        errors.UnknownLabelStateError([None, "lost"], ["waiting", "labelled"]),
        "Label states ['None', 'lost'] are unknown; known are ['labelled', 'waiting']. "
        "Name each label's state by one of those.",
    ),
    (
        errors.NothingToReportError("flights v3", ["delay: missing"]),
        "Report 'flights v3' would be empty, no column could be compared: ['delay: missing']. "
        "Wait for more rows in the window, or look at the columns named here.",
    ),
    (
        errors.UnreadableReferenceError("reference.parquet", "ArrowInvalid: no footer"),
        "reference.parquet cannot be read as a reference profile: ArrowInvalid: no footer. "
        "Restore it from the registered model version, or train again.",
    ),
    (
        errors.UnreadableInstrumentsError("instruments.npz", "BadZipFile: no archive"),
        "instruments.npz cannot be read as what was fitted on a version's reference window: BadZipFile: no archive. "
        "Restore it from the registered model version, or train again.",
    ),
    (
        errors.UnreadableProfileError("KeyError: 'counts'"),
        "The text cannot be read as a window's profile: KeyError: 'counts'. Profile the window's rows again with the "
        "bins of the version's reference.",
    ),
    (
        errors.LayoutMismatchError("number bins", 201, 12),
        "Profiles of different number bins cannot be merged: 201 and 12. Profile both windows with the bins of the "
        "same version's reference.",
    ),
]


@pytest.mark.parametrize(("error", "message"), MESSAGES, ids=lambda value: type(value).__name__)
def test_an_error_says_what_happened_with_values_and_what_to_do(error, message):
    assert str(error) == message


def test_every_error_of_the_package_is_in_the_list_above_and_in_the_tree():
    named = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, MonitoringError)}

    assert named - {MonitoringError} == {type(error) for error, _ in MESSAGES}
    assert all(type(error).__name__ in (errors.__doc__ or "") for error, _ in MESSAGES)
