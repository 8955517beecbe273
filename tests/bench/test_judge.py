"""The judge: a slower server is reported slower, a missed goal fails the run, noise and absence are said and not passed."""

import pytest

from bench import judge, run
from bench.judge import OURS, Verdict


def rounds(ours, floor, *, cpu=(20.0, 10.0)):
    def taken(rps, us):
        return [{"rps": r, "server_us": us} for r in rps]

    return {"status": {OURS: taken(ours, cpu[0]), "floor": taken(floor, cpu[1])}}


GOAL = {"row": "P1", "scenario": "status", "measure": "rps", "against": "floor", "at_least": 0.5}
CPU_GOAL = {"row": "P1", "scenario": "status", "measure": "server_us", "against": "floor", "at_most": 2.0}


def only(goal, measured, **more):
    (verdict,) = judge.judge(judge.medians(measured), [goal], **{"strangers": 0.0} | more)
    return verdict


def test_a_slower_server_is_reported_slower_by_the_median():
    table = judge.medians(rounds([100, 900, 500], [1000, 2000, 1500]))
    assert table["status"][OURS]["rps"] == 500 and table["status"]["floor"]["rps"] == 1500
    assert (table["status"][OURS]["rps_min"], table["status"][OURS]["rps_max"]) == (100, 900)


@pytest.mark.parametrize(("ours", "passed"), [(749, False), (750, True)])
def test_a_goal_is_a_ratio_of_one_run(ours, passed):
    verdict = only(GOAL, rounds([ours], [1500]))
    assert verdict.passed is passed and verdict.reached == pytest.approx(ours / 1500)


def test_slack_is_for_the_quick_run_only():
    assert only(GOAL, rounds([600], [1500])).passed is False
    assert only(GOAL, rounds([600], [1500]), slack=judge.QUICK_SLACK).passed is True


def test_in_a_noisy_run_only_cpu_is_judged():
    noisy = {"strangers": judge.NOISY + 0.01}
    verdict = only(GOAL, rounds([1], [1500]), **noisy)
    assert verdict.passed is None and verdict.why == "NOISY" and verdict.reached is not None
    assert only(CPU_GOAL, rounds([1], [1500], cpu=(21.0, 10.0)), **noisy).passed is False
    assert only(CPU_GOAL, rounds([1], [1500], cpu=(19.0, 10.0)), **noisy).passed is True


def test_a_figure_by_itself_may_be_a_goal_and_may_be_a_yardsticks():
    goal = {"row": "P4", "scenario": "status", "measure": "server_us", "of": "floor", "at_most": 60}
    assert only(goal, rounds([1], [1], cpu=(900.0, 59.0))).passed is True
    assert only(goal, rounds([1], [1], cpu=(1.0, 61.0))).passed is False
    assert only(goal | {"of": "nobody"}, rounds([1], [1])).passed is None


def test_what_was_not_measured_is_never_passed():
    verdict = only(GOAL | {"against": "a peer that is not installed"}, rounds([1500], [1]))
    assert verdict.passed is None and verdict.reached is None


@pytest.mark.parametrize(
    ("passed", "violations", "status"), [(True, [], 0), (None, [], 0), (False, [], 1), (True, ["a row is missing"], 1)]
)
def test_a_missed_goal_or_a_wrong_row_fails_the_run(passed, violations, status):
    assert judge.exit_status([Verdict("P1", "", "", 1.0, passed)], violations) == status


def test_every_goal_names_its_row_and_something_that_is_measured():
    for goal in judge.goals():
        assert goal["row"] in {"P1", "P2", "P3", "P4", "P6"} and goal["scenario"] in run.SCENARIOS
        assert goal["measure"] in {"rps", "server_us"} and ("at_least" in goal) != ("at_most" in goal)


def test_the_command_fails_when_a_goal_is_missed(capsys, tmp_path):
    async def measured(plan):
        table = judge.medians(rounds([1], [1500]))
        for row in table["status"].values():
            row |= {"p50": 1.0, "p99": 2.0, "database_us": 0.0, "pss_mb": 1.0, "bytes": 1.0}
        result = {
            "at": "2026-01-01T00:00:00", "strangers": 0.0, "stored": 1, "rounds": 3, "median": table, "skipped": {"go": "needs go"},
            "machine": {"cpu": "x", "cpus": 2, "memory_mb": 1, "python": "3.11", "commit": "abc"}, "violations": [],
            "database": {"version": "PostgreSQL 15", "fsync": "on"}, "audit": {"acknowledged": 0, "violations": {}},
            "paid": {"acknowledged": 0, "violations": {}},
        }  # fmt: skip
        return result, judge.judge(table, [GOAL], strangers=0.0)

    path = tmp_path / "out.json"
    assert run.main(["--json", str(path)], runner=measured) == 1
    told = capsys.readouterr().out
    assert "✗ P1" in told and "needs go" in told and path.exists()
