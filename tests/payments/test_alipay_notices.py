"""Notices of Alipay: three strings, one hash, one key; what is for us; the seven bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.gateways.alipay import notices, signing
from payments.gateways.base import EvidenceKind, Outcome, Refusal, Rejected, VerifiedNotice
from tests.payments import alipay_side as alipay

NO = "01JD3K5R9W7YQ2M4N6P8T0V1X3"
STRINGS = ["as received", "without empty", "with sign_type"]


@pytest.fixture
def door(frozen_clock):
    gateway, _ = alipay.gateway()

    async def take(raw: bytes):
        return await gateway.verify_notification({}, raw)

    return take


async def test_a_payment(door, frozen_clock):
    notice = await door(alipay.signed_notice(alipay.notice_fields(NO)))
    assert isinstance(notice, VerifiedNotice)
    assert (notice.event_id, notice.event_type, notice.payment_no) == (
        "2026111900222100005012345678901234", "TRADE_SUCCESS", NO,
    )  # fmt: skip
    said = notice.evidence
    assert (said.kind, said.outcome, said.amount_fen, said.currency) == (EvidenceKind.NOTICE, Outcome.PAID, 1000, "CNY")
    assert (said.merchant_id, said.app_id) == (alipay.SELLER, alipay.APPID)
    assert said.channel_txn_id == "2026111922001412345678901234"
    assert said.occurred_at.isoformat() == "2026-11-19T10:00:00+08:00"
    assert said.payer_id not in repr(said)


HARD = {
    "subject": "a&b=c+d%25 工本费",
    "body": "",
    "passback_params": "merchantBizType%3d3C%26merchantBizNo%3d2016010101111",
    "point_amount": "",
}


@pytest.mark.parametrize("over", STRINGS)
@pytest.mark.parametrize("charset", ["utf-8", "gbk"])
async def test_signs_chinese_and_empty_values_in_every_string_and_charset(door, over, charset):
    fields = alipay.notice_fields(NO, charset=charset, **HARD)
    found = await door(alipay.signed_notice(fields, over=over, charset=charset))
    assert isinstance(found, VerifiedNotice)
    assert found.payment_no == NO


def test_which_string_matched_is_known():
    fields = alipay.notice_fields(NO, **HARD)
    for over in STRINGS:
        read, charset = signing.read_form(alipay.signed_notice(fields, over=over))
        assert signing.verified_over([alipay.key("alipay").public_key()], read, charset=charset) == over


@pytest.mark.parametrize(
    "raw",
    [
        alipay.signed_notice(alipay.notice_fields(NO), sha1=True),
        alipay.signed_notice(alipay.notice_fields(NO, sign_type="RSA"), sha1=True),
        alipay.signed_notice(alipay.notice_fields(NO, sign_type="RSA")),
        alipay.signed_notice(alipay.notice_fields(NO, sign_type="rsa2")),
        alipay.signed_notice(alipay.notice_fields(NO, sign_type=None)),
        alipay.signed_notice(alipay.notice_fields(NO), signer="somebody"),
        alipay.signed_notice(alipay.notice_fields(NO), signer="app"),
        alipay.signed_notice(alipay.notice_fields(NO)).replace(b"total_amount=10.00", b"total_amount=10.01"),
        alipay.signed_notice(alipay.notice_fields(NO)) + b"&extra=1",
        alipay.signed_notice(alipay.notice_fields(NO)).rpartition(b"&sign=")[0],
        alipay.signed_notice(alipay.notice_fields(NO)).rpartition(b"&sign=")[0] + b"&sign=",
        alipay.signed_notice(alipay.notice_fields(NO)).rpartition(b"&sign=")[0] + b"&sign=AAAA",
    ],
    ids=[
        "sha1 as RSA2", "sha1 as RSA", "RSA", "rsa2", "no sign_type", "other key", "our own key", "other amount", "more", "no sign",
        "empty sign", "short sign",
    ],
)  # fmt: skip
async def test_what_is_not_signed_as_prescribed_is_refused(door, raw):
    found = await door(raw)
    assert isinstance(found, Rejected)
    assert found.reason is Refusal.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Refusal.UNPARSABLE),
        (b"{}", Refusal.UNPARSABLE),
        (b"a", Refusal.UNPARSABLE),
        (b"a=%ff&charset=utf-8", Refusal.UNPARSABLE),
        (b"a=1&charset=utf-16", Refusal.UNPARSABLE),
        (b"a=1&a=1", Refusal.UNPARSABLE),
        (alipay.signed_notice(alipay.notice_fields(NO)) + b"&total_amount=0.01", Refusal.UNPARSABLE),
        (b"&".join(b"f%d=1" % n for n in range(500)), Refusal.UNPARSABLE),
        (b"a=" + b"x" * 70_000, Refusal.TOO_LARGE),
    ],
)
async def test_what_is_no_notice(door, raw, reason):
    assert (await door(raw)).reason is reason


@pytest.mark.parametrize(
    "changed", [{"app_id": "2021999999999999"}, {"seller_id": "2088999999999999"}, {"seller_id": None}]
)
async def test_somebody_elses_notice(door, changed):
    assert (await door(alipay.signed_notice(alipay.notice_fields(NO, **changed)))).reason is Refusal.FOREIGN


async def test_finished_is_paid(door):
    notice = await door(alipay.signed_notice(alipay.notice_fields(NO, trade_status="TRADE_FINISHED")))
    assert notice.evidence.outcome is Outcome.PAID


@pytest.mark.parametrize("state", ["TRADE_CLOSED", "WAIT_BUYER_PAY", "SOMETHING_NEW", ""])
async def test_other_states_are_reasons_to_ask_and_no_facts(door, state):
    notice = await door(alipay.signed_notice(alipay.notice_fields(NO, trade_status=state)))
    assert (notice.evidence, notice.ask, notice.payment_no) == (None, True, NO)


@pytest.mark.parametrize("changed", [{"total_amount": "10.001"}, {"total_amount": ""}, {"trade_no": ""}])
async def test_a_payment_without_what_a_payment_has_is_asked_about(door, changed):
    notice = await door(alipay.signed_notice(alipay.notice_fields(NO, **changed)))
    assert (notice.evidence, notice.ask) == (None, True)


async def test_after_a_refund_it_is_still_paid(door):
    more = {"refund_fee": "3.00", "gmt_refund": "2026-11-20 10:00:00.123", "out_biz_no": "R1", "notify_id": "other"}
    notice = await door(alipay.signed_notice(alipay.notice_fields(NO, **more)))
    assert (notice.evidence.outcome, notice.evidence.amount_fen, notice.event_id) == (Outcome.PAID, 1000, "other")


async def test_a_stored_notice_opens_without_its_proof(door):
    gateway, _ = alipay.gateway()
    raw = alipay.signed_notice(alipay.notice_fields(NO))
    assert gateway.open_stored(raw).evidence.payment_no == NO
    assert isinstance(gateway.open_stored(b"x"), Rejected)


async def test_the_seven_bytes_and_nothing_else(door):
    good = notices.ack(await door(alipay.signed_notice(alipay.notice_fields(NO))))
    assert (good.status, good.body, good.headers["Content-Type"]) == (200, b"success", "text/plain")
    assert notices.ack(await door(b"")).body == b"fail"
    assert notices.ack(Rejected(reason=Refusal.NOT_STORED)).status == 503


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=10), min_size=1, max_size=6))
def test_a_form_is_read_once_and_exactly(fields):
    from urllib.parse import urlencode

    try:
        raw = urlencode(fields).encode()
    except UnicodeEncodeError:
        return
    if fields.get("charset", "utf-8") == "utf-8":
        assert signing.read_form(raw) == (fields, "utf-8")
