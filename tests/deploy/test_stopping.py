"""SIGTERM: what is in flight is finished, nothing new is taken, the exit code is 0 and it does not take long."""

import asyncio
import json
import signal
import sqlite3
import time

import aiohttp
import pytest

from tests.conftest import ENGINE

LOGIN = {"login_name": "li.qiang", "password": "a long and honest password"}


@pytest.fixture
def courier(machine):
    """Somebody whose login writes one row."""

    async def create() -> None:
        output = await machine.command(
            "courier", "create", LOGIN["login_name"], "--name", "李强", "--phone", "13900000009", "--areas", "620981"
        )
        LOGIN["password"] = output.split("密码 ")[1].split("（")[0]

    return create


@pytest.fixture
def barrier(request, database_url):
    """Holds every login until it is lifted, as a slow disk would."""
    if ENGINE == "sqlite":
        held = sqlite3.connect(database_url.removeprefix("sqlite://"), isolation_level=None)
        yield lambda: held.execute("BEGIN IMMEDIATE"), lambda: held.execute("ROLLBACK")
        held.close()
        return
    import subprocess

    server = request.getfixturevalue("postgres")
    session = subprocess.Popen(
        [server.bin / "psql", "-h", "127.0.0.1", "-p", str(server.port), "-U", "zsb", "-d", database_url.rsplit("/", 1)[1], "-Atq"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd="/",
    )  # fmt: skip

    def hold() -> None:
        session.stdin.write("BEGIN; LOCK TABLE identity_session IN ACCESS EXCLUSIVE MODE; SELECT 'held';\n")
        assert session.stdout.readline() == "held\n"

    yield hold, lambda: session.stdin.write("ROLLBACK;\n")
    session.stdin.close()
    session.wait(10)
    session.stdout.close()


async def test_the_api_finishes_what_is_in_flight_and_ends_with_0(machine, courier, barrier):
    await courier()
    api = await machine.api()
    url = f"http://127.0.0.1:{machine.api_port}"
    idle_reader, idle = await asyncio.open_connection("127.0.0.1", machine.api_port)
    idle.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200" in await idle_reader.readline()
    async with aiohttp.ClientSession() as session:
        hold, lift = barrier
        hold()

        async def log_in() -> tuple[int, str]:
            async with session.post(f"{url}/api/v1/courier/login", json=LOGIN) as answer:
                return answer.status, await answer.text()

        waiting = [asyncio.create_task(log_in()) for _ in range(3)]
        await asyncio.sleep(0.6)
        assert not any(task.done() for task in waiting)
        api.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        assert api.alive
        lift()
        lifted = time.monotonic()
        for status, body in await asyncio.gather(*waiting):
            assert status == 200, body
            assert json.loads(body)["access_token"]
        assert await asyncio.wait_for(api.wait(), 15) == 0
        assert time.monotonic() - lifted < 8
    idle.close()


async def test_a_worker_at_rest_ends_at_once_with_0(machine):
    worker = await machine.worker()
    began = time.monotonic()
    worker.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), 10) == 0
    assert time.monotonic() - began < 3
    assert "worker stopped" in worker.log.read_text()


async def test_metrics_are_shown_on_loopback_only_and_never_by_the_public_listener(machine):
    api = await machine.api(METRICS_PORT=str(machine.sandbox_port))
    worker = await machine.worker(METRICS_PORT=str(machine.sandbox_port + 1))
    async with aiohttp.ClientSession() as session:
        for port, name in (
            (machine.sandbox_port, "http_request_seconds"),
            (machine.sandbox_port + 1, "outbox_handled"),
        ):
            async with session.get(f"http://127.0.0.1:{port}/metrics") as answer:
                assert answer.status == 200
                assert name in await answer.text()
        async with session.get(f"http://127.0.0.1:{machine.api_port}/metrics") as answer:
            assert answer.status == 404
    for child in (api, worker):
        assert listening(child.process.pid) <= {"127.0.0.1"}


def listening(pid: int) -> set[str]:
    """Addresses on which a process accepts TCP connections, from the kernel's own table."""
    from pathlib import Path

    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # closed between the listing and the look, as files are at every moment
            continue
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    found = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and fields[9] in sockets:
            found.add(".".join(str(b) for b in reversed(bytes.fromhex(fields[1].split(":")[0]))))
    return found
