"""A process that cannot start says why in Chinese, without a traceback, and ends; one that must only wait waits."""

import asyncio
import os
import socket
import sqlite3

import pytest

from deploy.local.processes import ROOT, python
from tests.conftest import ENGINE
from tests.services import free_port

API, WORKER = ("-m", "miniprogram_api"), ("-m", "backend", "worker")


async def refusal(machine, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit code and what was written by a process that must end by itself."""
    process = await asyncio.create_subprocess_exec(
        *python(*arguments), cwd=ROOT, env=machine.environment | settings,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 30)
    except TimeoutError:
        process.kill()
        raise AssertionError("it neither serves nor ends") from None
    text = output.decode()
    assert "Traceback" not in text, text
    return process.returncode, text


@pytest.mark.parametrize("command", [API, WORKER], ids=["api", "worker"])
async def test_an_old_schema_is_refused_and_the_process_ends(machine, command, tmp_path):
    """The database driver has a thread of its own that used to keep the refused process alive for ever."""
    path = tmp_path / "empty.sqlite3"
    sqlite3.connect(path).close()
    code, text = await refusal(machine, *command, DATABASE_URL=f"sqlite://{path}")
    assert code == 1
    assert "python -m backend migrate" in text


@pytest.mark.parametrize("command", [API, WORKER], ids=["api", "worker"])
async def test_a_taken_metrics_port_is_named(machine, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, text = await refusal(machine, *command, METRICS_PORT=port)
    assert code == 1
    assert "METRICS_PORT" in text
    assert port in text


async def test_a_taken_port_is_named(machine):
    with socket.create_server(("127.0.0.1", machine.api_port)):
        code, text = await refusal(machine, *API)
    assert code == 1
    assert f"无法监听 127.0.0.1:{machine.api_port}" in text


async def test_a_port_that_a_dying_child_still_holds_is_waited_for(machine):
    """SIGKILL of an API that is just starting a photo child leaves the socket to the child for a moment."""
    environment = machine.environment
    with socket.create_server(("127.0.0.1", machine.api_port)):
        process = await asyncio.create_subprocess_exec(*python(*API), cwd=ROOT, env=environment)
        await asyncio.sleep(1.5)
    try:
        async with asyncio.timeout(20):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", machine.api_port)
                except ConnectionRefusedError:
                    assert process.returncode is None, "it gave up"
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    break
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("url", ["mysql://x", "postgres://zsb@127.0.0.1:port/x"])
async def test_a_wrong_database_url_is_a_complaint(machine, url):
    code, text = await refusal(machine, *WORKER, DATABASE_URL=url)
    assert code == 2
    assert "DATABASE_URL" in text


async def test_commands_say_which_database_they_cannot_reach_and_not_its_password(machine):
    port = str(free_port())
    url = f"postgres://zsb:geheim@127.0.0.1:{port}/zsb"
    for command in ("migrate", "doctor"):
        code, text = await refusal(machine, "-m", "backend", command, DATABASE_URL=url)
        assert code == 1
        assert port in text
        assert "geheim" not in text


@pytest.mark.parametrize("command", ["migrate", "doctor"])
async def test_a_database_file_that_cannot_be_opened_is_named(machine, command, tmp_path):
    """A folder stands where the file should be; the driver's thread used to keep the command alive for ever."""
    (tmp_path / "folder.sqlite3").mkdir()
    code, text = await refusal(machine, "-m", "backend", command, DATABASE_URL=f"sqlite://{tmp_path}/folder.sqlite3")
    assert code == 1
    assert "folder.sqlite3" in text


async def test_a_process_on_other_versions_than_the_lock_does_not_start(machine, tmp_path):
    """An offline installation drifted: one package is not what the lock names."""
    site = tmp_path / "site" / "orjson-9.9.9.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.1\nName: orjson\nVersion: 9.9.9\n")
    code, text = await refusal(machine, *WORKER, PYTHONPATH=os.pathsep.join([str(site.parent), str(ROOT)]))
    assert code == 2
    assert "orjson" in text


async def test_processes_wait_for_a_database_that_is_just_restarting(machine, request):
    if ENGINE != "postgres":
        return  # a file needs no server
    server = request.getfixturevalue("postgres")
    server.halt()
    worker = machine.start_one("worker", *WORKER)
    api = machine.start_one("api", *API)
    await asyncio.gather(worker.start(), api.start())
    await asyncio.sleep(3)
    assert worker.alive
    assert api.alive
    server.start()
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", machine.api_port)) == 0:
                break
        await asyncio.sleep(0.05)
    else:
        raise AssertionError(api.last_words())
    assert worker.alive, worker.last_words()
