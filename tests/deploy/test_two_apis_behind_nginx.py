"""Two APIs behind the shipped nginx. One dies under load and nobody who reads notices; what ends at one has ended at the other."""

import asyncio
import contextlib
import time
import uuid

import aiohttp
import pytest

from deploy.local.people import Cast, Unexpected
from deploy.local.story import ITEM, REGION, Story
from kernel import db
from tests.conftest import ENGINE, TESTED_APPS, settings_for
from tests.journeys.stack import Stack, free_block
from tests.nginx import Nginx, _replace, site

FORGIVEN_SECONDS = (
    2.0  # fail_timeout of the shipped upstream: the second must not die before nginx trusts the first again
)


class BothSockets(Nginx):
    """The shipped upstream as it is, with its two sockets in a folder of ours."""

    def sockets(self) -> list[str]:
        return [f"{self.folder}/api-{n}.sock" for n in (1, 2)]


def site_with_both(*, folder, port, api) -> str:
    text = site(folder=folder, port=port, api=f"unix:{folder}/api-1.sock")
    return _replace(
        text,
        r"^( *)server unix:(.*)api-1\.sock ([^;]*);",
        r"\1server unix:\2api-1.sock \3;\n\1server unix:\2api-2.sock \3;",
        times=1,
    )


class TwoApis(Stack):
    """Two APIs on unix sockets, one worker and the sandboxes."""

    async def start_product(self) -> None:
        self.nginx = BothSockets(port=free_block(), api="")
        self.apis = [self._api(n, socket) for n, socket in enumerate(self.nginx.sockets(), start=1)]
        worker = self._child("后台任务", "worker", "-m", "backend", "worker")
        await asyncio.gather(worker.start(), *(api.start() for api in self.apis))
        self.nginx.start()

    def _api(self, number: int, socket: str):
        child = self._child(f"接口 {number}", f"api-{number}", "-m", "miniprogram_api")
        child.environment = self.environment | {"API_SOCKET": socket, "API_PROXIES": "1"}
        return child

    async def until_ready(self, session: aiohttp.ClientSession) -> None:
        deadline = time.monotonic() + 40
        for number in (1, 2):
            one = aiohttp.UnixConnector(self.nginx.sockets()[number - 1])
            async with aiohttp.ClientSession(connector=one) as direct:
                while True:
                    try:
                        async with direct.get("http://api/readyz") as answer:
                            if answer.status == 200:
                                break
                    except aiohttp.ClientError:
                        pass
                    assert time.monotonic() < deadline, self.apis[number - 1].last_words()
                    await asyncio.sleep(0.1)

    async def stop(self) -> None:
        if hasattr(self, "nginx"):
            self.nginx.stop()
        await super().stop()


@pytest.fixture
async def pair(request, tmp_path, database_url, monkeypatch):
    if ENGINE == "sqlite":  # on one file there is one API process and one worker
        yield None
        return
    monkeypatch.setattr("tests.nginx.site", site_with_both)
    running = TwoApis(tmp_path, database_url, redis_url=request.getfixturevalue("redis").url)
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


def evidence(pair: TwoApis) -> str:
    """What nginx refused and what both APIs wrote last, for the message of a failure."""
    refused = [line for line in pair.nginx.written("zhangshangban.log").splitlines() if line.split()[3] >= "400"]
    return "\n".join(["", *refused[-20:], *(api.last_words(6) for api in pair.apis)])


async def test_killing_one_of_two_apis_fails_no_read_and_doubles_no_command(pair, database_url):
    if pair is None:
        return
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        await pair.until_ready(session)
        cast = Cast(session, pair.nginx.url, pair.sandbox_port)
        story = Story(cast, lambda text: None)
        await story.log_in()
        await story.prove_identity()
        over = asyncio.Event()
        reads: list[int] = []
        opened: dict[str, str] = {}

        async def read() -> None:
            while not over.is_set():
                async with session.get(f"{pair.nginx.url}/readyz") as answer:
                    reads.append(answer.status)
                await asyncio.sleep(0.04)

        async def command() -> None:
            while not over.is_set():
                key = uuid.uuid4().hex
                body = {"item_code": ITEM, "region_code": REGION}
                first = await cast.citizen.call("POST", "/api/v1/cases", body, key=key)
                again = await cast.citizen.call("POST", "/api/v1/cases", body, key=key)
                assert first["case_no"] == again["case_no"]
                opened[key] = first["case_no"]
                await asyncio.sleep(1)  # one person may hold twenty drafts

        async def disaster() -> None:
            for victim in pair.apis:
                await asyncio.sleep(0.5)
                victim.kill()
                await victim.wait()
                await asyncio.sleep(0.2)
                await victim.start()  # as systemd does, over the stale socket file
                await pair.until_ready(session)
                await asyncio.sleep(FORGIVEN_SECONDS + 0.3)
            over.set()

        try:
            await asyncio.gather(*(read() for _ in range(4)), *(command() for _ in range(2)), disaster())
        except Unexpected as refused:
            raise AssertionError(f"{refused}{evidence(pair)}") from None
    assert len(reads) > 100
    assert set(reads) == {200}, evidence(pair)
    await db.connect(settings_for(database_url), TESTED_APPS)
    stored = {row["case_no"] for row in await db.fetch("SELECT case_no FROM cases_case")}
    await db.close()
    assert stored == set(opened.values()), (
        "a command that was repeated had two effects, or one that was acknowledged had none"
    )


async def test_a_logout_acknowledged_by_one_api_is_known_to_the_other_at_the_very_next_request(pair):
    """Under reads without pause, so that the other one has just seen the session and is in the middle of looking again."""
    if pair is None:
        return
    async with contextlib.AsyncExitStack() as opened:
        sessions = [aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) for path in pair.nginx.sockets()]
        lines = [await opened.enter_async_context(session) for session in sessions]
        await pair.until_ready(lines[0])
        cast = Cast(await opened.enter_async_context(aiohttp.ClientSession()), pair.nginx.url, pair.sandbox_port)
        for number in range(10):
            here, there = lines[number % 2], lines[(number + 1) % 2]
            await Story(cast, lambda text: None).log_in()
            known = {"Authorization": f"Bearer {cast.citizen.token}"}
            over = asyncio.Event()

            async def ask(line, method, path, known=known) -> int:
                async with line.request(method, f"http://api/api/v1{path}", headers=known) as answer:
                    await answer.read()
                    return answer.status

            async def read(ask=ask, there=there, over=over) -> None:
                while not over.is_set():
                    await ask(there, "GET", "/cases")

            assert await ask(there, "GET", "/cases") == 200
            readers = [asyncio.create_task(read()) for _ in range(4)]
            assert await ask(here, "POST", "/logout") == 200
            paths = ("/cases", "/cases/620981261119299999995/status", "/me")
            assert await asyncio.gather(*(ask(there, "GET", path) for path in paths)) == [401] * 3
            over.set()
            await asyncio.gather(*readers)
