"""Partners break the line before and after the deed, dawdle, repeat, reorder, sign wrongly and answer nonsense: the books still agree."""

import asyncio
import itertools
import time

import aiohttp
import pytest

from deploy.local.people import Cast, Phone
from tests.conftest import ENGINE
from tests.reliability import campaign
from tests.reliability.books import Audit, Database
from tests.reliability.citizens import Town

SEED = 20261121


async def test_every_call_of_every_partner_breaks_in_every_way_while_citizens_live_their_stories(house):
    """Faults in a seeded order at all five partners, six citizens at a time."""
    report = await campaign.disturb(house, seed=SEED, seconds=20, at_once=6)
    print(f"{ENGINE}: {report}")
    assert not report.found, str(report)
    assert report.stories >= 6
    assert report.faults >= 60


@pytest.fixture
async def town(house):
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield Town(session, house.api, house.sandbox_port)


async def raw(
    session: aiohttp.ClientSession, phone: Phone, method: str, path: str, body: dict, key: str
) -> tuple[int, dict, float]:
    """One request without any patience: status, answer, seconds."""
    began = time.monotonic()
    headers = {"Idempotency-Key": key} | ({"Authorization": f"Bearer {phone.token}"} if phone.token else {})
    async with session.request(method, phone.base + path, json=body, headers=headers) as answer:
        return answer.status, await answer.json(), time.monotonic() - began


async def down(partners: Cast, offset: int) -> None:
    """The partner closes every connection without a word until it is `up` again."""
    await partners.partner(offset).do(
        "POST", "/faults", {"match": {"call": "*"}, "times": None, "effect": {"drop": "before"}}
    )


async def up(partners: Cast, offset: int) -> None:
    await partners.partner(offset).do("DELETE", "/faults")


WECHAT, REGISTER, WECHAT_PAY, ONE_WINDOW, EMS = 1, 2, 3, 4, 5


async def test_a_partner_that_is_down_never_blocks_the_citizen_and_the_answer_says_what_happens_next(house, town):
    """Each partner is down when its turn comes. Only the login must wait, because nobody else can say who she is."""
    citizen = await town.newcomer()
    phone, partners = citizen.cast.citizen, town.partners

    await down(partners, WECHAT)
    code = (await partners.partner(WECHAT).do("POST", f"/persons/{citizen.person}/login_code"))["code"]
    status, answer, seconds = await raw(town.session, phone, "POST", "/api/v1/login/wechat", {"code": code}, "login-1")
    assert (status, answer["code"]) == (503, "wechat-down"), answer
    assert "请" in answer["detail"] and seconds < 8
    await up(partners, WECHAT)
    await citizen.log_in()

    code = (await partners.partner(WECHAT).do("POST", f"/persons/{citizen.person}/phone_code"))["code"]
    await phone.call("POST", "/api/v1/me/phone", {"code": code})

    # The register is out for a whole morning: however often she tries, the outage costs her none of her tries.
    await down(partners, REGISTER)
    proof = {"name": citizen.name, "id_number": citizen.id_number}
    for attempt in range(8):
        status, answer, seconds = await raw(
            town.session, phone, "POST", "/api/v1/me/identity", proof, f"proof-{attempt}"
        )
        assert (status, answer["code"]) == (503, "partner-down"), answer
        assert "稍后再试" in answer["detail"] or "几分钟后再试" in answer["detail"]
        assert seconds < 8
    await up(partners, REGISTER)
    await citizen.prove_identity()

    # Nobody outside needs to be there to take an application.
    for offset in (WECHAT_PAY, ONE_WINDOW, EMS):
        await down(partners, offset)
    await citizen.upload_photos()
    began = time.monotonic()
    await citizen.apply()
    assert time.monotonic() - began < 8
    assert (await citizen.overview())["next_action"]["action"] == "pay"

    bill_no = (await citizen.overview())["bills"][0]["bill_no"]
    status, answer, seconds = await raw(
        town.session,
        phone,
        "POST",
        f"/api/v1/bills/{bill_no}/payments",
        {"channel": "wechat_jsapi"},
        citizen.key(bill_no),
    )
    assert seconds < 8
    if status == 503:  # certainly nothing was sent
        assert "没有扣款" in answer["detail"]
    else:  # nobody knows yet: the answer says so and nothing is lost
        assert (status, answer["status"]) == (201, "ongoing") and answer["next_step"], answer
    await up(partners, WECHAT_PAY)
    await citizen.pay()

    waiting = (await citizen.overview())["next_action"]
    assert waiting["action"] == "wait" and waiting["text"], waiting
    await up(partners, ONE_WINDOW)
    await citizen.reach_window()
    await citizen.correct()
    await citizen.decide()

    parcel = (await citizen.overview())["next_action"]
    assert parcel["action"] == "wait_parcel" and parcel["text"], parcel
    await up(partners, EMS)
    for step in (citizen.book_courier, citizen.pick_up, citizen.hand_over, citizen.hear_everything):
        await step()

    database = Database(house.database_url)
    await campaign.drained(database, 60)
    found = await Audit(database, partners, [citizen], house.folder / "data").run()
    assert not found, "\n".join(found)


TAMPERED = (
    "body_byte",
    "signature_byte",
    "signtest",
    "other_key",
    "unknown_serial",
    "swapped_nonce",
    "wrong_apiv3_key",
)


async def test_callbacks_come_twice_late_reversed_and_forged_and_change_nothing_twice(house, town):
    """Every partner repeats itself, some out of order, while forged news of the same things comes in between."""
    partners = town.partners
    await partners.partner(WECHAT).do("POST", "/config", {"push_copies": 3})
    await partners.partner(WECHAT_PAY).do("POST", "/config", {"probe_first_notice": True})
    await partners.partner(ONE_WINDOW).do("POST", "/config", {"event_copies": 2})
    await partners.partner(EMS).do("POST", "/config", {"callback_suffix": "alternate"})
    citizens = [await town.newcomer() for _ in range(3)]
    forging = asyncio.create_task(forge(town))
    try:
        await asyncio.gather(*(citizen.live() for citizen in citizens))
    finally:
        forging.cancel()

    # When all is over everything is told once more, newest first.
    events = (await partners.partner(ONE_WINDOW).do("GET", "/events"))["events"]
    for event in reversed(events):
        await partners.partner(ONE_WINDOW).do("POST", "/events/send", {"events": [event["event"]]})
    for order in (await partners.partner(WECHAT_PAY).do("GET", "/orders"))["orders"]:
        about = {"about": {"out_trade_no": order["out_trade_no"]}, "copies": 3, "parallel": True}
        await partners.partner(WECHAT_PAY).do("POST", "/notifications", about)
    database = Database(house.database_url)
    await campaign.drained(database, 60)
    found = await Audit(database, partners, citizens, house.folder / "data").run()
    assert not found, "\n".join(found)


async def forge(town: Town) -> None:
    """News nobody sent, as long as the stories last; every one of them must be refused."""
    pay, ems = town.partners.partner(WECHAT_PAY), town.partners.partner(EMS)
    for tamper in itertools.cycle(TAMPERED):
        for order in (await pay.do("GET", "/orders"))["orders"]:
            wish = {"about": {"out_trade_no": order["out_trade_no"]}, "tamper": tamper, "event": "TRANSACTION.SUCCESS"}
            sent = await pay.do("POST", "/notifications", wish)
            assert all(answer["status"] >= 400 for answer in sent["answers"]), sent
        for parcel in (await ems.do("GET", "/parcels"))["parcels"]:
            event = {"waybillNo": parcel["waybillNo"], "opCode": "704", "opTime": "2026-11-20 10:00:00"}
            sent = await ems.do("POST", "/callbacks/forge", {"event": event, "other_key": True})
            assert sent["answer"]["status"] != 200 or "00000" not in sent["answer"]["body"], sent
        await asyncio.sleep(0.3)
