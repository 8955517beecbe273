"""What is installed is what the lock names, and what must not be there is not."""

import importlib.metadata
import json
import re
import subprocess
import sys

import pytest

from deploy.local.processes import ROOT
from kernel import environment

DEV_LOCK = ROOT / "requirements-dev.txt"


def test_this_very_installation_is_what_both_locks_name():
    assert environment.complaints.__wrapped__(environment.LOCK) == ()
    assert environment.complaints.__wrapped__(DEV_LOCK) == ()


def test_the_two_locks_agree_on_every_package_of_the_product():
    product = environment._pins(environment.LOCK.read_text(encoding="utf-8"))
    development = environment._pins(DEV_LOCK.read_text(encoding="utf-8"))
    assert len(product) >= 58
    assert {name: development.get(name) for name in product} == product


@pytest.mark.parametrize("lock", [environment.LOCK, DEV_LOCK], ids=lambda p: p.name)
def test_every_line_of_a_lock_is_checked_by_a_hash(lock):
    text = lock.read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert [b.split("\n")[0] for b in blocks if "--hash=sha256:" not in b] == []
    assert len(blocks) == len(environment._pins(text))


def test_nobody_else_provides_the_package_alipay():
    """python-alipay-sdk has the same top-level package; whichever is installed last wins."""
    assert set(importlib.metadata.packages_distributions()["alipay"]) == {"alipay-sdk-python"}


def test_a_drifted_a_missing_and_an_unwelcome_package_are_named(tmp_path, monkeypatch):
    lock = tmp_path / "requirements.txt"
    lock.write_text("Some_Package==2.0 \\\n    --hash=sha256:aa\ngone==1.0\nelsewhere==1 ; sys_platform == 'win32'\n")
    monkeypatch.setattr(environment, "_installed", lambda: {"some-package": "1.9", "sanic-ext": "25.12.0"})
    versions, unwelcome = environment.complaints.__wrapped__(lock)
    assert "some-package 应为 2.0，实际 1.9" in versions
    assert "gone 应为 1.0，实际 没有安装" in versions
    assert "elsewhere" not in versions
    assert "sanic-ext" in unwelcome


def test_a_missing_lock_is_a_complaint_too(tmp_path):
    assert len(environment.complaints.__wrapped__(tmp_path / "none")) == 1


_HEAVY = ("alipay", "PIL", "redis", "httpx", "aioredis", "sanic_ext", "rsa", "Crypto")


@pytest.mark.parametrize("module", ["miniprogram_api.__main__", "backend.commands"])
def test_a_process_loads_nothing_refused_and_nothing_heavy_it_may_never_use(module):
    """Importing everything costs 110 MB and three seconds per process."""
    code = f"import sys, json, {module}, backend.wiring, miniprogram_api.app as a; a.load_endpoints(); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert [name for name in _HEAVY if name in loaded] == []
