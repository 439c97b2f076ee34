"""What the report says of a parameter."""

import pytest

from calibration.result import Parameter
from conf.page import as_text, was_held


@pytest.mark.parametrize(
    ("std", "identifiable", "text", "held"),
    [
        (0.0, False, "0.08 (held)", True),
        (0.01, True, "0.08 ± 0.01", False),
        (0.01, False, "0.08 ± 0.01", False),
        # A gain that was given as known counts as known.
        (0.0, True, "0.08 ± 0", False),
    ],
)
def test_what_was_held_is_not_said_to_be_known_exactly(
    std: float, identifiable: bool, text: str, held: bool
) -> None:
    parameter = Parameter(0.08, std, 0.0, "N.m", "torch", identifiable)
    assert as_text(parameter) == text
    assert was_held(parameter) == held


def test_what_a_method_does_not_know_is_a_dash() -> None:
    assert as_text(None) == "–"
    assert was_held(None)
