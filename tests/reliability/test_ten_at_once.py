"""Ten fingers on one button: whatever is done ten times at once has one effect, and every finger hears the truth."""

import asyncio
from collections import Counter

import aiohttp
import pytest

from deploy.local.people import Json, Phone, until
from tests.reliability import campaign
from tests.reliability.books import Audit, Database, dead_rows, waiting_rows
from tests.reliability.citizens import Citizen, Town

TEN = range(10)


@pytest.fixture
async def town(house):
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Town(session, house.api, house.sandbox_port)


async def finger(phone: Phone, path: str, body: Json | None, key: str) -> tuple[int, Json]:
    """One press. A 503 is pressed again with the same key, as the phone does by itself."""
    headers = {"Authorization": f"Bearer {phone.token}", "Idempotency-Key": key}
    while True:
        async with phone.session.post(phone.base + path, json=body, headers=headers) as answer:
            if answer.status != 503:
                return answer.status, await answer.json()
        await asyncio.sleep(0.2)


async def same_key(phone: Phone, path: str, body: Json | None) -> Json:
    """Ten presses that are one press: ten times the same answer."""
    answers = await asyncio.gather(*(finger(phone, path, body, f"same-{path[-30:]}") for _ in TEN))
    assert len({(status, str(answer)) for status, answer in answers}) == 1, answers
    status, answer = answers[0]
    assert status < 300, answer
    return answer


# Who asks for what is already so gets the same answer again instead of a refusal; nothing happens a second time.
GOAL_REACHED = ("/pickup", "/withdrawal")


async def own_keys(phone: Phone, path: str, body: Json | None) -> Json:
    """Ten presses of ten phones: one succeeds, nine are told that it is done already."""
    answers = await asyncio.gather(*(finger(phone, path, body, f"own-{number}-{path[-30:]}") for number in TEN))
    if path.endswith(GOAL_REACHED):
        assert {status for status, _ in answers} == {200}, answers
        return answers[0][1]
    seen = Counter(status if status >= 300 else "done" for status, _ in answers)
    assert seen == {"done": 1, 409: 9}, answers
    assert all(answer["detail"] for status, answer in answers if status == 409)
    return next(answer for status, answer in answers if status < 300)


class TenFingers(Citizen):
    """A story in which every command of the phones is pressed ten times; `press` decides with which keys."""

    press = staticmethod(same_key)

    def _fold(self, phone: Phone) -> None:
        patient, press = phone.call, self.press

        async def call(method, path, body=None, *, key=None, want=None):
            if key is None or path.endswith(
                ("/cases", "/identity")
            ):  # a new draft is a new thing; a proof asks a partner
                return await patient(method, path, body, key=key, want=want)
            if path.endswith("/payments"):
                return await self.ten_payments(phone, path, body)
            return await press(phone, path, body)

        phone.call = call

    async def ten_payments(self, phone: Phone, path: str, body: Json) -> Json:
        """Another tap continues the same order, with whatever key: one payment number, one order at the channel."""
        same = self.press is same_key
        keys = ["pay" if same else f"pay-{number}" for number in TEN]
        answers = await asyncio.gather(*(finger(phone, path, body, key + path[-35:]) for key in keys))
        assert {status for status, _ in answers} == {201}, answers
        assert len({answer["payment_no"] for _, answer in answers}) == 1, answers
        return answers[0][1]


@pytest.mark.parametrize("press", [same_key, own_keys], ids=["one key", "ten keys"])
async def test_submitting_paying_correcting_and_handing_over_ten_times_at_once_happens_once(house, town, press):
    """The whole story with ten fingers on every button; then both sides' books."""
    citizen = await town.newcomer()
    citizen.__class__ = TenFingers
    citizen.press = press
    for phone in (citizen.cast.citizen, citizen.cast.courier):
        citizen._fold(phone)
    await citizen.live()
    database = Database(house.database_url)
    await campaign.drained(database, 40)
    found = await Audit(database, town.partners, [citizen], house.folder / "data").run()
    assert not found, "\n".join(found)
    moves = await database.rows("SELECT from_state, to_state FROM delivery_parcel_event WHERE from_state <> to_state")
    assert max(Counter((row["from_state"], row["to_state"]) for row in moves).values()) == 1, moves
    orders = (await town.partners.partner(3).do("GET", "/orders"))["orders"]
    assert [order["times_created"] for order in orders] == [1, 1]


@pytest.mark.parametrize("press", [same_key, own_keys], ids=["one key", "ten keys"])
async def test_withdrawing_ten_times_at_once_withdraws_once(house, town, press):
    """Paid and forwarded already: the platform hears it once, each bill is owed back once."""
    citizen = await town.newcomer()
    for step in (
        citizen.log_in,
        citizen.prove_identity,
        citizen.upload_photos,
        citizen.apply,
        citizen.pay,
        citizen.reach_window,
    ):
        await step()
    path = f"/api/v1/cases/{citizen.case_no}/withdrawal"
    assert (await press(citizen.cast.citizen, path, {"reason": "不需要了"}))["status"] == "withdrawn"
    await until("窗口知道撤回", lambda: citizen._window_state("WITHDRAWN"), seconds=30)
    database = Database(house.database_url)
    await campaign.drained(database, 40)
    assert await database.one("SELECT COUNT(*) FROM cases_event WHERE kind = 'withdraw'") == 1
    owed = await database.rows("SELECT bill_id, amount_fen, cause FROM payments_refund ORDER BY amount_fen")
    assert [(row["amount_fen"], row["cause"]) for row in owed] == [(600, "withdrawal"), (1000, "withdrawal")]
    sent = await database.rows("SELECT verb, state FROM onewindow_forwarding WHERE verb = 'case.withdraw'")
    assert [(row["verb"], row["state"]) for row in sent] == [("case.withdraw", "acknowledged")]
    assert await waiting_rows(database) == [] == await dead_rows(database)
    assert await house.examine() == []
