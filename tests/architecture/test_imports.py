"""Who may import whom: the contracts of .importlinter hold, and a module that belongs to nobody is noticed."""

import configparser
import subprocess
import sys

from tests.architecture.source import PROGRAMS, ROOT


def test_the_import_contracts_hold(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--cache-dir", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_every_top_level_package_is_under_contract():
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    roots = contracts["importlinter"]["root_packages"].split()
    packages = {p.parent.name for p in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert set(roots) == packages == set(PROGRAMS)
