"""What a recording's faults look like in a table and on the screen."""

from conf.findings import doubts, grouped
from envs.telemetry.finding import Fault, Finding


def finding(
    kind: Fault, channel: str, first_s: float, detail: str, *, action: str = "flagged"
) -> Finding:
    return Finding(kind, channel, 3, first_s, action, detail)


FOUND = (
    finding("degrees", "position/a", 2.0, "-22 to 22"),
    finding("degrees", "position/b", 1.0, "-31 to 29"),
    finding("command_lag", "command_position/a", 0.0, "12 ms later", action="kept"),
    finding("spike", "effort/b", 4.0, "1 sample stands out"),
)


def test_joints_share_a_line_that_names_the_one_its_detail_is_of() -> None:
    first, *others = grouped(FOUND)
    assert first == [
        "degrees", "position, 2 joints", "6", "1.000", "flagged",
        "-31 to 29 (b; the others are below)",
    ]  # fmt: skip
    assert [row[:4] for row in others] == [
        ["command_lag", "command_position/a", "–", "–"],
        ["spike", "effort/b", "3", "4.000"],
    ]


def test_doubts_are_what_a_run_goes_on_with_and_should_not_be_missed() -> None:
    assert doubts(FOUND) == [
        "degrees in position of b and 1 more: -31 to 29; is its unit deg?",
        "spike in effort of b: 1 sample stands out",
    ]
