"""Medians, ratios and goals. Pure: it sees numbers, never a server."""

import statistics
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GOALS = Path(__file__).with_name("goals.toml")
NOISY = 0.15
QUICK_SLACK = 0.25
OURS = "zhangshangban"
Rounds = dict[str, dict[str, list[dict[str, float]]]]  # scenario → server → one dictionary of figures per round


@dataclass(frozen=True)
class Verdict:
    """One goal with what was reached. `passed` is None when it could not be judged, and `why` says why."""

    row: str
    text: str
    wanted: str
    reached: float | None
    passed: bool | None
    why: str = ""


def medians(rounds: Rounds) -> dict[str, dict[str, dict[str, float]]]:
    """The median of every figure, with the lowest and highest throughput beside it."""
    table: dict[str, dict[str, dict[str, float]]] = {}
    for scenario, servers in rounds.items():
        for server, taken in servers.items():
            row = {name: statistics.median(one[name] for one in taken) for name in taken[0]}
            row |= {"rps_min": min(one["rps"] for one in taken), "rps_max": max(one["rps"] for one in taken)}
            table.setdefault(scenario, {})[server] = row
    return table


def goals(path: Path = GOALS) -> list[dict[str, Any]]:
    """The goals as written down."""
    found: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["goal"]
    return found


def judge(
    table: dict[str, dict[str, dict[str, float]]],
    wanted: Iterable[dict[str, Any]],
    *,
    strangers: float,
    slack: float = 0.0,
) -> list[Verdict]:
    """Each goal against the medians. Throughput is not judged when strangers used much of the machine."""
    return [_verdict(table, goal, strangers, slack) for goal in wanted]


def _verdict(
    table: dict[str, dict[str, dict[str, float]]], goal: dict[str, Any], strangers: float, slack: float
) -> Verdict:
    scenario, measure, whose, against = goal["scenario"], goal["measure"], goal.get("of", OURS), goal.get("against")
    low = goal.get("at_least")
    limit = low if low is not None else goal["at_most"]
    text = f"{scenario} {measure} ÷ {against}" if against else f"{scenario} {measure} ({whose})"
    sign = f"{'≥' if low is not None else '≤'} {limit}"
    ours, theirs = (table.get(scenario, {}).get(name) for name in (whose, against))
    if against is None:
        theirs = {measure: 1.0}  # an absolute figure
    if ours is None or theirs is None or not theirs.get(measure):
        return Verdict(goal["row"], text, sign, None, None, "not measured")
    reached = ours[measure] / theirs[measure]
    if measure == "rps" and strangers > NOISY:
        return Verdict(goal["row"], text, sign, reached, None, "NOISY")
    passed = reached >= limit * (1 - slack) if low is not None else reached <= limit * (1 + slack)
    return Verdict(goal["row"], text, sign, reached, passed)


def exit_status(verdicts: Iterable[Verdict], violations: Iterable[str]) -> int:
    """1 when a judged goal is missed or anything was answered or stored wrongly."""
    return 1 if any(v.passed is False for v in verdicts) or any(True for _ in violations) else 0
