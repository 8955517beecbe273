"""Notices whose proof or content is not what it should be: nothing moves, one event is written down, the real notice still counts."""

import base64
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import structlog

from kernel import db
from payments import janitor, notices
from payments.gateways.wechat_pay.keys import REFRESH_SECONDS
from tests.payments.scenarios.stage import differences, security_events
from tests.sandbox.wechat_pay_caller import Merchant

FIVE_YEARS = timedelta(days=5 * 365)


async def refused_and_then_paid(stage, status: int, **wish) -> list[str]:
    """A paid order, a forged notice about it, and then the real one. What was written down about the forgery."""
    _, view = await stage.waiting()
    await stage.pay(view.payment_no, notify=False)
    with structlog.testing.capture_logs() as lines:
        assert (await stage.notify(view.payment_no, **wish))["status"] == status
        await stage.deliver()
    assert await stage.states(view) == ("open", "pending")
    assert await db.fetch("SELECT id FROM kernel_inbox") == []
    assert (await stage.notify(view.payment_no, mode="public_key"))["status"] == 204
    await stage.deliver()
    assert await stage.states(view) == ("paid", "paid")
    return security_events(lines)


# -- 16: the partner tests whether we verify


async def test_s16_a_probe_is_refused_and_counted_apart_and_alarms_nobody(stage):
    probes = notices._COUNT.labels("wechat", "probe")
    before = probes._value.get()
    assert await refused_and_then_paid(stage, 401, tamper="signtest") == []
    assert probes._value.get() == before + 1
    assert await differences() == []


async def test_s16_a_probe_before_the_notice_itself(stage):
    await stage.config(probe_first_notice=True)
    _, payment_no = await stage.paid()
    tries = (await stage.order(payment_no))["notices"][0]["tries"]
    assert [one["status"] for one in tries] == [401, 204]


# -- 17: five minutes, both ways


@pytest.mark.parametrize(("seconds", "status"), [(-301, 401), (-299, 204), (299, 204), (301, 401)])
async def test_s17_clocks_may_differ_by_five_minutes_and_not_more(stage, door, seconds, status):
    _, view = await stage.waiting()
    await stage.pay(view.payment_no, notify=False)
    wish = {"about": {"out_trade_no": view.payment_no}, "deliver": False}
    request = (await stage.control("POST", "/notifications", wish))["request"]
    signed_at = datetime.fromtimestamp(int(request["headers"]["Wechatpay-Timestamp"]), UTC)
    stage.clock.stands_at = signed_at + timedelta(seconds=seconds)
    with structlog.testing.capture_logs() as lines:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{door}/api/v1/callbacks/wechat-pay",
                data=base64.b64decode(request["body_base64"]),
                headers=request["headers"],
            ) as answer,
        ):
            assert answer.status == status
    stage.clock.stands_at = None
    await stage.advance(seconds=abs(seconds))
    assert security_events(lines) == ([] if status == 204 else ["bad-timestamp"])
    await stage.deliver()
    assert await stage.states(view) == (("paid", "paid") if status == 204 else ("open", "pending"))
    await stage.settle_everything()


# -- 18 to 20: whose key


async def test_s18_a_thousand_unknown_serials_cause_one_fetch_an_interval(stage):
    _, view = await stage.waiting()
    await stage.pay(view.payment_no, notify=False)
    for interval in (1, 2):
        answers = await stage.notices(
            view.payment_no, copies=500, parallel=True, tamper="unknown_serial", mode="certificate"
        )
        assert [answer["status"] for answer in answers] == [401] * 500
        await stage.deliver()
        assert len(await stage.heard("certificates")) == interval
        await stage.advance(seconds=REFRESH_SECONDS + 1)
    assert await stage.states(view) == ("open", "pending")
    await stage.tick()
    assert await stage.states(view) == ("paid", "paid")


async def test_s19_notices_signed_with_certificate_and_public_key_interleaved(stage):
    await janitor.refresh_keys()
    views = [(await stage.waiting())[1] for _ in range(4)]
    for view, mode in zip(views, ("certificate", "public_key") * 2, strict=True):
        await stage.pay(view.payment_no, notify=False)
        assert (await stage.notify(view.payment_no, mode=mode))["status"] == 204
    await stage.deliver()
    assert [await stage.states(view) for view in views] == [("paid", "paid")] * 4


async def test_s20_the_certificate_is_rotated_and_expires_while_nothing_happens(stage):
    """For years nobody pays; the timer alone keeps the keys fresh, and the very next notice verifies."""
    await stage.certificates_only()
    await stage.advance(days=FIVE_YEARS.days + 1)
    await stage.control("POST", "/keys/rotate", {"what": "platform_certificate", "keep_old": False})
    await janitor.refresh_keys()
    _, payment_no = await stage.paid()
    tries = (await stage.order(payment_no))["notices"][0]["tries"]
    assert [one["status"] for one in tries] == [204]


async def test_s20_the_new_certificate_is_met_before_the_timer_fetched_it(stage):
    """Refused at first, fetched once for all copies, and the repeated notice verifies."""
    await stage.certificates_only()
    _, view = await stage.waiting()
    await stage.pay(view.payment_no, notify=False)
    await stage.control("POST", "/keys/rotate", {"what": "platform_certificate", "keep_old": False})
    answers = await stage.notices(view.payment_no, copies=20)
    assert {answer["status"] for answer in answers} == {401}
    await stage.deliver()
    assert len(await stage.heard("certificates")) == 2  # at the start, and one for twenty refused copies
    assert (await stage.notify(view.payment_no))["status"] == 204
    await stage.deliver()
    assert await stage.states(view) == ("paid", "paid")


# -- 21 and 22: forged, and well signed but wrong. Alipay's are in test_alipay.py (22, 23)


@pytest.mark.parametrize("tamper", ["body_byte", "body_space", "reserialise"])
async def test_s21_a_body_that_is_not_the_signed_one_to_the_byte(stage, tamper):
    assert await refused_and_then_paid(stage, 401, tamper=tamper) == ["bad-signature"]


@pytest.mark.parametrize(
    ("wish", "status", "event"),
    [
        ({"tamper": "signature_byte"}, 401, "bad-signature"),
        ({"tamper": "other_key"}, 401, "bad-signature"),
        ({"tamper": "swapped_nonce"}, 401, "bad-signature"),
        ({"tamper": "unknown_serial"}, 401, "unknown-serial"),
        ({"mode": "certificate"}, 401, "unknown-serial"),  # a key we never fetched
        ({"tamper": "other_signature_type"}, 401, "missing-header"),
        ({"tamper": "xml_v2"}, 401, "missing-header"),
        ({"tamper": "drop_header:Wechatpay-Serial"}, 401, "missing-header"),
        ({"tamper": "drop_header:Wechatpay-Signature"}, 401, "missing-header"),
        ({"tamper": "drop_header:Wechatpay-Timestamp"}, 401, "missing-header"),
        ({"tamper": "drop_header:Wechatpay-Nonce"}, 401, "missing-header"),
        ({"tamper": "wrong_apiv3_key"}, 500, "SECURITY_UNREADABLE_NOTICE"),
        ({"override": {"mchid": "1900000999"}}, 403, "SECURITY_FOREIGN_MERCHANT"),
        ({"override": {"appid": "wx0000000000000000"}}, 403, "SECURITY_FOREIGN_MERCHANT"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_s22_a_forged_or_foreign_notice_leaves_one_event_and_changes_nothing(stage, wish, status, event):
    assert await refused_and_then_paid(stage, status, **wish) == [event]


@pytest.mark.parametrize(
    ("paid", "override", "class_name"),
    [
        ({"amount_fen": 1}, {}, "AMOUNT_LOW"),
        ({"amount_fen": 100000}, {}, "AMOUNT_HIGH"),
        ({"payer": "oSomebodyElse"}, {}, "PAYER"),
        ({}, {"amount.currency": "USD"}, "CURRENCY"),
    ],
    ids=["low", "high", "payer", "currency"],
)
async def test_s22_our_money_but_not_what_the_order_says_waits_for_a_person(stage, paid, override, class_name):
    _, view = await stage.waiting()
    await stage.pay(view.payment_no, notify=False, **paid)
    with structlog.testing.capture_logs() as lines:
        assert (await stage.notify(view.payment_no, override=override))["status"] == 204
        await stage.deliver()
    assert security_events(lines) == await differences() == [class_name]
    assert await stage.states(view) == ("open", "pending")
    assert (await stage.attempt(view.payment_no)).review_required
    (parked,) = await db.fetch("SELECT kind FROM payments_ledger_txn WHERE kind IN ('pay', 'suspense')")
    assert parked["kind"] == "suspense"


async def test_s22_our_merchant_is_paid_under_a_number_we_never_made(stage, door):
    _, view = await stage.waiting()
    stranger = "STRANGER0001"
    notify_url = f"{door}/api/v1/callbacks/wechat-pay"
    assert (await Merchant(stage.partner).place(number=stranger, notify_url=notify_url)).status == 200
    with structlog.testing.capture_logs() as lines:
        await stage.pay(stranger)
        await stage.deliver()
    assert security_events(lines) == await differences() == ["CHANNEL_ONLY"]
    assert await stage.states(view) == ("open", "pending")


async def test_s26_a_forged_copy_with_the_real_id_does_not_block_the_real_one(stage):
    _, view = await stage.waiting()
    await stage.pay(view.payment_no, notify=False)
    same = {"event_id": "EV-THE-REAL-ONE"}
    assert (await stage.notify(view.payment_no, tamper="other_key", **same))["status"] == 401
    assert (await stage.notify(view.payment_no, **same))["status"] == 204
    await stage.deliver()
    assert await stage.states(view) == ("paid", "paid")
