"""The shared base of every sandbox partner: control verbs, faults, request log, callbacks, restarts."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from sandbox.callbacks import Callback
from sandbox.control import ControlError
from sandbox.partner import Partner, Run
from sandbox.serving import serving


class Bank(Partner):
    name, title, port_offset = "bank", "试验银行", 9
    default_config = {"auto_notify": True}
    fault_effects = ("signature",)
    keep_on_reset = ("person",)

    def setup(self) -> None:
        self.notices: list[int] = []
        self.route("POST", "/pay/{no}", self.pay, call="pay")
        self.control("GET", "/orders/{no}", self.order)
        self.callbacks.on("notice", self.notice, ladder=(0.01, 0.01))

    def seed(self) -> None:
        self.store.add("person", "王兰", {"name": "王兰"})

    def environment(self) -> dict[str, str]:
        return {"BANK_BASE_URL": self.url}

    async def pay(self, request: web.Request) -> web.StreamResponse:
        no = request.match_info["no"]
        self.note(request, verdict="ok", number=no)
        effect = await self.fault(request, "pay", no)
        with self.store.transaction():
            self.store.put("order", no, {"no": no, "paid": True}, "paid")
            self.callbacks.later("notice", {"no": no})
        return self.answer({"paid": no, "signature": effect.get("signature", "good")})

    async def order(self, request: web.Request) -> object:
        no = request.match_info["no"]
        order = self.store.get("order", no)
        if order is None:
            raise ControlError(404, "没有这个订单")
        return {"order": order, "history": self.store.history("order", no)}

    async def notice(self, callback: Callback) -> bool:
        self.notices.append(callback.attempts)
        return callback.attempts == 2


def build(run: Run) -> Bank:
    return Bank(run)


@pytest.fixture
async def bank(tmp_path: Path) -> AsyncIterator[Bank]:
    async with serving(build, tmp_path) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def order_fault(http: aiohttp.ClientSession, bank: Bank, **fault: object) -> None:
    async with http.post(bank.url + "/_control/faults", json=fault) as answer:
        assert answer.status == 200, await answer.text()


async def test_a_call_is_answered_logged_and_kept_with_its_history(bank: Bank, http: aiohttp.ClientSession) -> None:
    async with http.post(URL(bank.url + "/pay/7?x=%2F", encoded=True), data=b"\x00raw") as answer:
        assert await answer.json() == {"paid": "7", "signature": "good"}
    async with http.get(bank.url + "/_control/requests?call=pay") as answer:
        line = (await answer.json())["requests"][0]
    assert (line["method"], line["path"], line["number"], line["verdict"]) == ("POST", "/pay/7?x=%2F", "7", "ok")
    assert base64.b64decode(line["body"]) == b"\x00raw"
    async with http.get(bank.url + "/_control/requests?last=1") as answer:
        assert [one["id"] for one in (await answer.json())["requests"]] == [line["id"]]
    async with http.get(bank.url + "/_control/orders/7") as answer:
        assert [step["event"] for step in (await answer.json())["history"]] == ["paid"]
    async with http.get(bank.url + "/_control/orders/8") as answer:
        assert (answer.status, await answer.json()) == (404, {"error": "没有这个订单"})


async def test_a_fault_answers_skips_and_wears_off(bank: Bank, http: aiohttp.ClientSession) -> None:
    await order_fault(
        http, bank, match={"call": "pay", "number": "2"}, times=1, skip=1, effect={"status": 500, "code": "X"}
    )
    answers = []
    for no in ("1", "2", "2", "2"):
        async with http.post(f"{bank.url}/pay/{no}") as answer:
            answers.append(answer.status)
    assert answers == [200, 200, 500, 200]


@pytest.mark.parametrize(("when", "committed"), [("before", False), ("after", True)])
async def test_a_dropped_connection_says_nothing_about_the_commit(
    bank: Bank, http: aiohttp.ClientSession, when: str, committed: bool
) -> None:
    await order_fault(http, bank, match={"call": "pay"}, effect={"drop": when})
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.post(bank.url + "/pay/9")
    assert (bank.store.get("order", "9") is not None) is committed


async def test_hostile_bodies_delays_and_partner_effects(bank: Bank, http: aiohttp.ClientSession) -> None:
    for effect, expected in (
        ({"body": "truncated"}, b'{"paid":"1","si'),
        ({"body": "empty"}, b""),
        ({"signature": "none", "delay_ms": 30}, b'{"paid":"1","signature":"none"}'),
    ):
        await order_fault(http, bank, match={"call": "*"}, effect=effect)
        async with http.post(bank.url + "/pay/1") as answer:
            assert await answer.read() == expected
    await order_fault(http, bank, effect={"body": "html", "status": 502})
    async with http.post(bank.url + "/pay/1") as answer:
        assert (answer.status, answer.content_type) == (502, "text/html")


async def test_a_rate_limit_answers_429_beyond_its_rate(bank: Bank, http: aiohttp.ClientSession) -> None:
    await order_fault(http, bank, effect={"rate_per_s": 2})
    statuses = []
    for _ in range(4):
        async with http.post(bank.url + "/pay/1") as answer:
            statuses.append(answer.status)
    assert statuses == [200, 200, 429, 429]


@pytest.mark.parametrize("wish", [{"effect": {}}, {"effect": {"explode": 1}}, {"effect": {"status": 500}, "times": 0}])
async def test_a_senseless_fault_is_refused(bank: Bank, http: aiohttp.ClientSession, wish: dict[str, object]) -> None:
    async with http.post(bank.url + "/_control/faults", json=wish) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]


async def test_faults_can_be_withdrawn(bank: Bank, http: aiohttp.ClientSession) -> None:
    await order_fault(http, bank, effect={"status": 500}, times=None)
    async with http.delete(bank.url + "/_control/faults") as answer:
        assert await answer.json() == {"deleted": 1}
    async with http.post(bank.url + "/pay/1") as answer:
        assert answer.status == 200


async def test_callbacks_climb_their_ladder(bank: Bank, http: aiohttp.ClientSession) -> None:
    await http.post(bank.url + "/pay/1")
    await bank.callbacks.settle()
    assert bank.notices == [0, 1, 2]
    assert [found["state"] for found in bank.store.callbacks()] == ["done"]


async def test_state_faults_clock_and_pending_callbacks_survive_a_restart(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with serving(build, tmp_path) as bank:
        secret = bank.keys.secret("api.key")
        assert bank.keys.path("api.key").stat().st_mode & 0o777 == 0o600
        await order_fault(http, bank, match={"call": "refund"}, effect={"status": 500})
        await http.post(bank.url + "/_control/clock", json={"offset_s": -360})
        await http.post(bank.url + "/_control/config", json={"time_scale": 0.5})
        bank.callbacks.later("notice", {}, after_s=0.2)
    async with serving(build, tmp_path) as bank:
        assert bank.keys.secret("api.key") == secret
        assert len(bank.faults.all()) == 1
        assert (bank.clock_offset_s, bank.config["time_scale"]) == (-360.0, 0.5)
        await asyncio.sleep(0.15)
        await bank.callbacks.settle()
        assert bank.notices == [0, 1, 2]


async def test_the_clock_moves_this_partner_and_its_date_header_only(bank: Bank, http: aiohttp.ClientSession) -> None:
    async with http.get(bank.url + "/_control") as answer:
        before = answer.headers["Date"]
    await http.post(bank.url + "/_control/clock", json={"offset_s": 86400})
    async with http.get(bank.url + "/_control") as answer:
        assert answer.headers["Date"] != before
        assert (await answer.json())["clock_offset_s"] == 86400


async def test_a_reset_forgets_what_happened_but_not_keys_config_and_people(
    bank: Bank, http: aiohttp.ClientSession
) -> None:
    await http.post(bank.url + "/pay/1")
    await http.post(bank.url + "/_control/config", json={"auto_notify": False})
    await order_fault(http, bank, effect={"status": 500})
    first = bank.store.next_number("serial")
    async with http.post(bank.url + "/_control/reset") as answer:
        assert answer.status == 200
    assert bank.store.get("order", "1") is None
    assert bank.store.get("person", "王兰") is not None
    assert bank.config["auto_notify"] is False
    assert bank.faults.all() == []
    assert bank.store.next_number("serial") == first + 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Host": "evil.example"}, 403), ({"Origin": "http://evil.example"}, 403), ({"Host": "localhost:1"}, 200)],
)
async def test_only_this_machine_steers_the_sandbox(
    bank: Bank, http: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    async with http.get(bank.url + "/_control", headers=headers) as answer:
        assert answer.status == status


async def test_unknown_config_and_unreadable_bodies_are_refused(bank: Bank, http: aiohttp.ClientSession) -> None:
    for path, body in (("config", b'{"nope":1}'), ("config", b"[]"), ("clock", b"{"), ("config", b'{"time_scale":-1}')):
        async with http.post(f"{bank.url}/_control/{path}", data=body) as answer:
            assert answer.status == 400


async def test_unknown_paths_and_crashes_are_worded_by_the_partner(bank: Bank, http: aiohttp.ClientSession) -> None:
    async with http.get(bank.url + "/nowhere") as answer:
        assert (answer.status, await answer.json()) == (404, {"code": "ERROR"})
    async with http.get(bank.url + "/pay/1") as answer:
        assert answer.status == 405
