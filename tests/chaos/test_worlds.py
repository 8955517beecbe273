"""Worlds with every fault and kill at random: the first seeds in a box of time, the same seed twice, and what a failing seed says."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos import killed
from tests.chaos.ground import Ground
from tests.conftest import ENGINE

ROOT = Path(__file__).parents[2]
BOX_SECONDS, LEAST_WORLDS = 45, 25  # even on a machine that other things keep busy


def campaign(seeds: str, *more: str) -> subprocess.CompletedProcess[str]:
    """A campaign in a process of its own, as `make chaos` runs it."""
    command = [sys.executable, "-m", "tests.chaos", seeds, "--engine", ENGINE, *more]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )


def test_nothing_is_lost_or_doubled_in_as_many_worlds_as_the_box_takes(tmp_path):
    told = campaign("1-1000", "--seconds", str(BOX_SECONDS), "--json", str(tmp_path / "told.json"))
    assert told.returncode == 0, told.stdout[-4000:] + told.stderr[-4000:]
    summary = json.loads((tmp_path / "told.json").read_text())
    print(f"{summary['worlds']} worlds, {sum(summary['kills'].values())} kills")
    assert summary["failed"] == [] and summary["worlds"] >= LEAST_WORLDS
    # A fault that never fires proves nothing. Which of a family fires depends on how many worlds the machine played.
    assert {"sent", "answered", "statement", "commit"} <= set(summary["kills"])
    fired = " ".join(summary["faults"])
    families = (
        *(
            "drop=",
            "status=",
            "signature=",
            "body=",
            "refund",
            "notice lost",
            "notice doubled",
            "overtaken",
            "repeated",
        ),
        *("acknowledgement lost", "answer too late", "connection refused", "before the answer"),
    )
    assert [word for word in families if word not in fired] == []
    assert summary["outcome"]["refund success"] > 10 and summary["outcome"]["bill paid"] > 10


def test_a_seed_is_the_same_world_every_time():
    histories = [campaign("1,4", "--digest").stdout for _ in range(2)]
    digests = [re.findall(r"digest (\d+ [0-9a-f]{16})", text) for text in histories]
    assert len(digests[0]) == 2 and digests[0] == digests[1]


def test_a_bug_is_found_and_its_seed_can_be_played_again():
    told = campaign("1-40", "--mutant", "keeps_the_surplus", "--until-failed")
    assert told.returncode == 1, told.stdout[-2000:] + told.stderr[-2000:]
    seed = re.search(rf"replay: make chaos SEEDS=(\d+) ENGINE={ENGINE}", told.stdout)
    assert seed is not None
    again = campaign(seed[1], "--mutant", "keeps_the_surplus")
    assert again.returncode == 1 and f"seed {seed[1]} FAILED" in again.stdout


@pytest.mark.parametrize("seed", [2, 7])
def test_a_real_kill_leaves_nothing_behind_either(seed, tmp_path):
    """The same worlds with SIGKILL: each life is a process of its own, and the books are judged by another."""
    ground = Ground(ENGINE, tmp_path)
    try:
        ground.empty()
        codes, wrong = killed.lives(seed, 2, ground.url, tmp_path)
    finally:
        ground.close()
    assert -signal.SIGKILL in codes, codes
    assert wrong == ""
