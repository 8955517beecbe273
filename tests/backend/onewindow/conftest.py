"""The slice connected to the sandbox platform over real HTTP, and a worker that works its topics."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import backend.cases.handlers as cases_handlers
import backend.onewindow.handlers as handlers
from backend.cases import runtime as cases_runtime
from backend.cases.settings import CasesSettings
from backend.onewindow import feedback, ports
from backend.onewindow.ports import ParcelReport
from backend.onewindow.settings import OneWindowSettings
from kernel import http, storage
from kernel.config import load_one
from kernel.outbox import Delivery, Topic
from kernel.storage import StorageSettings
from kernel.worker import Worker
from sandbox.one_window import OneWindow, build
from sandbox.serving import serving
from tests.backend.onewindow.samples import PLATFORM_ITEM


class NoPlanner:
    """No test here submits through the cases slice, so nothing is ever planned."""

    async def plan(self, **_: Any) -> None:
        raise AssertionError("not used")


class Parcels:
    """Stands for the delivery slice's reader."""

    def __init__(self) -> None:
        self.reports: dict[str, ParcelReport] = {}

    async def report(self, *, delivery_no: str) -> ParcelReport | None:
        return self.reports.get(delivery_no)


@dataclass
class Platform:
    """The running sandbox platform and its clerk."""

    partner: OneWindow
    http: aiohttp.ClientSession
    answers: list[bytes] = field(default_factory=list)

    async def control(self, path: str, wish: dict[str, Any] | None = None) -> Any:
        async with self.http.post(f"{self.partner.url}/_control{path}", json=wish or {}) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    async def fault(self, call: str, effect: dict[str, Any], times: int = 1) -> None:
        await self.control("/faults", {"match": {"call": call}, "effect": effect, "times": times})

    async def clerk(self, number: str, *actions: str, **wish: Any) -> None:
        for action in actions:
            await self.control(f"/cases/{number}/{action}", wish)

    def case(self, number: str) -> dict[str, Any]:
        found = self.partner.store.get("case", number)
        assert found is not None
        return found

    def requests(self, call: str) -> list[dict[str, Any]]:
        return self.partner.store.requests(call=call, after=0, limit=1000)


@pytest.fixture
async def storage_folder(tmp_path: Path) -> AsyncIterator[None]:
    storage.configure(StorageSettings(), data_folder=tmp_path / "data")
    yield


@pytest.fixture
def parcels() -> Parcels:
    return Parcels()


@pytest.fixture
async def callback_url() -> AsyncIterator[str]:
    """The product's callback route, as the edge mounts it: raw body in, bytes out."""

    async def receive(request: web.Request) -> web.Response:
        status, body = await feedback.receive(
            verb=request.match_info["verb"], headers=request.headers, raw=await request.read()
        )
        return web.Response(status=status, body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/api/v1/callbacks/one-window/{verb}", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
async def platform(
    database: None, storage_folder: None, parcels: Parcels, callback_url: str, tmp_path: Path
) -> AsyncIterator[Platform]:
    async with (
        serving(build, tmp_path / "run", product_url=callback_url) as partner,
        aiohttp.ClientSession() as session,
    ):
        settings = load_one(OneWindowSettings, partner.environment())
        door = http.Partner("onewindow", settings.base_url, total_seconds=2, read_seconds=1)
        ports.configure(settings=settings, partner=door, parcels=parcels)
        cases_runtime.configure(
            load_one(CasesSettings, {}), planner=NoPlanner(), work_folder=tmp_path / "work", production=False
        )
        found = Platform(partner, session)
        await found.control("/tasks", {"items": [PLATFORM_ITEM]})
        yield found
        await http.close()
        await cases_runtime.close()


async def _nothing(_: Delivery) -> None:
    """Events of the cases slice that other slices would hear."""


@pytest.fixture
def work() -> Callable[[], Awaitable[None]]:
    """Work everything that is due."""
    mine = {topic.name for topic in handlers.TOPICS}
    events = set(cases_handlers.SUBSCRIPTIONS) | {
        "case.submitted",
        "case.status_changed",
        "case.granted",
        "case.refused",
        "bill.refund_due",
    }
    others = tuple(Topic(name=name, handler=_nothing) for name in events - set(handlers.SUBSCRIPTIONS) - mine)

    async def run() -> None:
        await Worker(topics=(*handlers.TOPICS, *others), subscriptions=handlers.SUBSCRIPTIONS).run_until_idle()

    return run
