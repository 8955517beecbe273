"""The program and its page: start, settings for the product, the page's files, routes to the partners, a clean end."""

import asyncio
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from sandbox.alipay import build as build_alipay
from sandbox.page import ControlServer
from sandbox.partner import Run
from sandbox.register import build as build_register
from sandbox.store import Database
from sandbox.wechat import build as build_wechat
from sandbox.wechat_templates import DEMO_TEMPLATES

ROOT = Path(__file__).parents[2]


def free_base_port() -> int:
    """A port whose neighbours are free too."""
    for base in range(31000, 60000, 10):
        taken = False
        for port in range(base, base + 10):
            with socket.socket() as probe:
                taken = taken or probe.connect_ex(("127.0.0.1", port)) == 0
        if not taken:
            return base
    raise AssertionError("no free ports")


@asynccontextmanager
async def program(folder: Path, base_port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", "--run-folder", str(folder), "--base-port", str(base_port)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def said_until(process: asyncio.subprocess.Process, word: str) -> str:
    said = ""
    while word not in said:
        line = await asyncio.wait_for(process.stdout.readline(), 30)
        assert line, said
        said += line.decode()
    return said


async def test_the_program_starts_all_partners_says_so_and_ends_on_a_signal(tmp_path: Path) -> None:
    base = free_base_port()
    async with program(tmp_path, base) as process, aiohttp.ClientSession() as http:
        said = await said_until(process, "沙箱已就绪")
        assert "微信 " in said
        assert "人口库 " in said
        environment = tmp_path / "sandbox.env"
        assert environment.stat().st_mode & 0o777 == 0o600
        settings = dict(line.split("=", 1) for line in environment.read_text().splitlines() if "=" in line)
        assert settings["WECHAT_BASE_URL"] == f"http://127.0.0.1:{base + 1}"
        assert settings["REGISTER_BASE_URL"] == f"http://127.0.0.1:{base + 2}"
        assert settings["ALIPAY_BASE_URL"] == f"http://127.0.0.1:{base + 6}/gateway.do"
        assert settings["WECHAT_APPID"] == settings["WECHATPAY_APPID"]  # one mini-program, one openid
        async with http.get(f"http://127.0.0.1:{base}/api/wechat/persons") as answer:
            assert "张桂兰" in await answer.text()
        await refused_to_start(tmp_path / "other", base, "已被其他程序占用")
        await refused_to_start(tmp_path, free_base_port(), "正在使用运行目录")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert "状态已保存" in (await process.stdout.read()).decode()
        assert (await process.stderr.read()) == b""


async def refused_to_start(folder: Path, base_port: int, reason: str) -> None:
    async with program(folder, base_port) as second:
        _, error = await asyncio.wait_for(second.communicate(), 30)
        assert second.returncode == 1
        assert reason in error.decode()
        assert "Traceback" not in error.decode()


async def test_only_loopback_may_be_listened_on(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", "--host", "0.0.0.0"), cwd=ROOT, stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate()
    assert process.returncode == 2
    assert "0.0.0.0" in error.decode()


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[ControlServer]:
    """The page with one partner; the others are missing, which it must bear."""
    database = Database(tmp_path / "state.sqlite3")
    run = Run(tmp_path, database, base_port=0)
    register = build_register(run)
    server = ControlServer(run, [register])
    await register.start()
    await server.start()
    yield server
    await server.stop()
    await register.stop()
    database.close()


async def test_the_page_loads_nothing_from_elsewhere(page: ControlServer) -> None:
    async with aiohttp.ClientSession() as http:
        for path, kind in (
            ("", "text/html"),
            ("page.css", "text/css"),
            *((name, "text/javascript") for name in ("page.js", "panels.js", "alipay.js")),
        ):
            async with http.get(f"{page.url}/{path}") as answer:
                text = await answer.text()
                assert (answer.status, answer.content_type) == (200, kind)
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert "http://" not in text
                assert "https://" not in text
        async with http.get(f"{page.url}/../store.py") as answer:
            assert answer.status == 404


async def test_verbs_are_passed_on_both_ways(page: ControlServer) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{page.url}/api/partners") as answer:
            assert [one["name"] for one in await answer.json()] == ["register"]
        async with http.post(f"{page.url}/api/register/faults", json={"effect": {"status": 503}}) as answer:
            fault = await answer.json()
        async with http.delete(f"{page.url}/api/register/faults/{fault['id']}") as answer:
            assert await answer.json() == {"deleted": 1}
        async with http.get(f"{page.url}/api/register/requests?limit=5") as answer:
            assert await answer.json() == {"requests": [], "next_after": 0}
        async with http.get(f"{page.url}/api/register") as answer:
            assert (await answer.json())["calls"] == ["verify"]
        async with http.post(f"{page.url}/api/register/faults", json={"effect": {}}) as answer:
            assert answer.status == 400
            assert (await answer.json())["error"]


async def test_a_missing_partner_and_foreign_sites_are_refused(page: ControlServer) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{page.url}/api/ems/parcels") as answer:
            assert (answer.status, await answer.json()) == (404, {"error": "沙箱没有这个合作方"})
        async with http.post(f"{page.url}/api/register/reset", headers={"Origin": "http://evil.example"}) as answer:
            assert answer.status == 403
        async with http.get(f"{page.url}/api/partners", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403


async def test_the_manual_names_every_verb_setting_and_template(tmp_path: Path) -> None:
    manual = re.sub(r"\{[^{}/\"]*\}", "{}", (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8"))
    database = Database(tmp_path / "state.sqlite3")
    run = Run(tmp_path, database, base_port=0)
    for partner in (build_wechat(run), build_register(run), build_alipay(run)):
        paths = {route.resource.canonical for route in partner.app.router.routes() if route.resource}
        named = {re.sub(r"\{[^{}]*\}", "{}", path).removesuffix("/faults/{}") for path in paths}
        assert [path for path in sorted(named) if path.startswith("/_control") and path not in manual] == []
        assert [name for name in (*partner.config, *partner.fault_effects, *partner.calls) if name not in manual] == []
    assert [found["title"] for found in DEMO_TEMPLATES if str(found["template_id"]) not in manual] == []
    database.close()
