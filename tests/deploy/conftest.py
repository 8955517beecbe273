"""Single processes of the product, started as systemd starts them: settings from a sandbox's own file, one database each."""

import asyncio
import contextlib
import subprocess
import time

import pytest

from deploy.local.processes import ROOT, Managed, python, read_environment, until_listening
from deploy.local.run import LocalRun
from tests.conftest import ENGINE
from tests.journeys.stack import free_block


@pytest.fixture(scope="session")
def partner_settings(tmp_path_factory):
    """What a sandbox tells the product; nobody is at home there afterwards, and nothing here needs them."""
    folder = tmp_path_factory.mktemp("partners")
    sandbox = subprocess.Popen(
        python("-m", "sandbox", "--run-folder", folder, "--base-port", str(free_block())),
        cwd=ROOT, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 40
    while not (folder / "sandbox.env").exists():
        assert sandbox.poll() is None and time.monotonic() < deadline, "the sandbox did not start"
        time.sleep(0.05)
    sandbox.terminate()
    sandbox.wait(20)
    return read_environment(folder / "sandbox.env")


class Machine(LocalRun):
    """Processes of the product without partners."""

    def start_one(self, log: str, *arguments: str, **settings: str) -> Managed:
        child = self._child(log, log, *arguments)
        child.environment = self.environment | settings
        return child

    async def api(self, log: str = "api", **settings: str) -> Managed:
        child = self.start_one(log, "-m", "miniprogram_api", **settings)
        await child.start()
        if "API_SOCKET" not in settings:
            await until_listening(child, int(child.environment["API_PORT"]))
        return child

    async def worker(self, **settings: str) -> Managed:
        child = self.start_one("worker", "-m", "backend", "worker", LOG_LEVEL="info", **settings)
        await child.start()
        for _ in range(800):
            if "worker started" in child.log.read_text():
                return child
            assert child.alive, child.last_words()
            await asyncio.sleep(0.05)
        raise AssertionError(child.last_words())


@pytest.fixture
async def machine(tmp_path, database_url, partner_settings):
    """An empty machine with a migrated database."""
    first = free_block()
    run = Machine(tmp_path / "run", api_port=first, sandbox_port=first + 1)
    for name in ("logs", "data"):
        (run.folder / name).mkdir(mode=0o700, parents=True)
    patience = {"DATABASE_COMMAND_SECONDS": "10"} if ENGINE == "postgres" else {}
    run.environment = run.base_environment() | partner_settings | patience | {"DATABASE_URL": database_url}
    yield run
    with contextlib.suppress(ProcessLookupError):
        await run.stop()
