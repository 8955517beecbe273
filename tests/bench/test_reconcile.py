"""The reconciliation benchmark finds exactly what it plants; how long a million lines take is its own record."""

import json
import subprocess
import sys
from pathlib import Path

from bench.reconcile import expected

ROOT = Path(__file__).parents[2]


def test_a_small_day_is_judged_right():
    command = [sys.executable, "-m", "bench", "reconcile", "--lines", "4000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["found"] == expected(4000) == {"LOCAL_ONLY": 4, "AMOUNT_HIGH": 4, "CHANNEL_ONLY": 4}
    assert (result["lines"], result["kept_lines"], result["bounded"]) == (3996, 8, True)
