"""The findings of a recording as a reader wants them: one line for what several joints share."""

from collections.abc import Sequence

from envs.telemetry.finding import Finding


def row(finding: Finding) -> list[str]:
    """Return kind, channel, count, time of the first (s), action and detail.

    What is about a whole recording has no count and no time.
    """
    whole = not len(finding.rows) and finding.first_s == 0
    first = "–" if whole else f"{finding.first_s:.3f}"
    count = "–" if whole else str(finding.count)
    return [finding.kind, finding.channel, count, first, finding.action, finding.detail]


def grouped(findings: Sequence[Finding]) -> list[list[str]]:
    """Return the rows of the table, with one for all joints that have one thing in common."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        signal, _, joint = finding.channel.partition("/")
        key = (finding.kind, signal if joint else finding.channel, finding.action)
        groups.setdefault(key, []).append(finding)
    rows = []
    for (_, where, _), found in groups.items():
        first = min(found, key=lambda f: f.first_s)
        cells = row(first)
        if len(found) > 1:
            joint = first.channel.partition("/")[2]
            cells[1] = f"{where}, {len(found)} joints"
            if cells[2] != "–":
                cells[2] = str(sum(f.count for f in found))
            cells[5] = f"{cells[5]} ({joint}; the others are below)"
        rows.append(cells)
    return rows


def doubts(findings: Sequence[Finding]) -> list[str]:
    """Return a sentence for each kind of fault that a run goes on with and a user should know."""
    told = []
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.action == "flagged":
            key = finding.kind, finding.channel.partition("/")[0]
            groups.setdefault(key, []).append(finding)
    for (kind, where), found in groups.items():
        first = min(found, key=lambda f: f.first_s)
        joint = first.channel.partition("/")[2]
        others = f" and {len(found) - 1} more" if len(found) > 1 else ""
        of = f" of {joint}{others}" if joint else ""
        hint = "; is its unit deg?" if kind == "degrees" else ""
        told.append(f"{kind} in {where}{of}: {first.detail}{hint}")
    return told
