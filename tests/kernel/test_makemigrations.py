"""The checked-in migrations say all that the models say: nobody has changed a model and forgotten its migration."""

import subprocess
import sys

import pytest

from backend.wiring import APPS


@pytest.mark.parametrize("label", sorted(APPS))
def test_no_model_is_ahead_of_its_migrations(label):
    said = subprocess.run(
        [sys.executable, "-m", "backend", "makemigrations", label], capture_output=True, text=True, check=True
    ).stdout
    assert "没有变化" in said, f"forgotten migration (remove the file that this test wrote): {said}"
