"""Notices: the checks in their order over the received bytes, both kinds of keys, and the answer WeChat expects."""

import json

import pytest

from payments.gateways import rsa_keys
from payments.gateways.base import Outcome, Refusal, Rejected, VerifiedNotice
from payments.gateways.wechat_pay import keys as key_tables
from payments.gateways.wechat_pay import notices
from tests.payments import wechat_side as wechat

NO = "ZSB00000000000000000000001"


class Shelf:
    """The shared table of certificates, and a word to whoever fetches new ones."""

    def __init__(self) -> None:
        self.certificates, self.loads, self.told = [], 0, 0

    async def load(self, channel):
        self.loads += 1
        return list(self.certificates)

    async def save(self, channel, certificates):
        self.certificates = list(certificates)

    async def news(self, channel):
        self.told += 1


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def table(shelf, frozen_clock):
    return key_tables.KeyTable(
        channel="wechat",
        public_key_id=wechat.PUBLIC_ID,
        public_key=wechat.key("public").public_key(),
        store=shelf,
        news=shelf.news,
    )


async def verify(table, headers, body):
    return await notices.verify(table, wechat.merchant(), headers, body)


async def test_a_good_notice_says_what_was_paid(table):
    body = wechat.envelope(wechat.transaction(NO))
    verdict = await verify(table, wechat.headers(body), body)
    assert isinstance(verdict, VerifiedNotice)
    evidence = verdict.evidence
    assert (evidence.outcome, evidence.payment_no, evidence.amount_fen, evidence.currency) == (
        Outcome.PAID,
        NO,
        1000,
        "CNY",
    )
    assert evidence.occurred_at.isoformat() == "2026-11-19T10:00:00+08:00"
    answer = notices.ack(verdict)
    assert (answer.status, answer.body) == (204, b"")
    assert "oUpF8" not in repr(verdict)


async def test_header_names_are_found_in_any_case_and_the_type_may_be_absent(table):
    body = wechat.envelope(wechat.transaction(NO))
    headers = {name.lower(): value for name, value in wechat.headers(body).items()}
    del headers["wechatpay-signature-type"]
    assert isinstance(await verify(table, headers, body), VerifiedNotice)


@pytest.mark.parametrize("skew", [-299, 0, 299])
async def test_clocks_may_differ_by_five_minutes(table, skew):
    body = wechat.envelope(wechat.transaction(NO))
    assert isinstance(await verify(table, wechat.headers(body, skew=skew), body), VerifiedNotice)


BODY = wechat.envelope(wechat.transaction(NO))


def changed(**values):
    return lambda headers: (
        headers | {f"Wechatpay-{name.replace('_', '-').title()}": value for name, value in values.items()}
    )


FORGERIES = {
    "no headers": (lambda h: {}, BODY, Refusal.MISSING_HEADER),
    "no serial": (lambda h: {k: v for k, v in h.items() if k != "Wechatpay-Serial"}, BODY, Refusal.MISSING_HEADER),
    "no nonce": (changed(nonce=""), BODY, Refusal.MISSING_HEADER),
    "another scheme": (changed(signature_type="WECHATPAY2-SM2-WITH-SM3"), BODY, Refusal.MISSING_HEADER),
    "too old": (lambda h: wechat.headers(BODY, skew=-301), BODY, Refusal.BAD_TIMESTAMP),
    "from the future": (lambda h: wechat.headers(BODY, skew=301), BODY, Refusal.BAD_TIMESTAMP),
    "absurd time": (changed(timestamp="9" * 400), BODY, Refusal.BAD_TIMESTAMP),
    "negative time": (changed(timestamp="-5"), BODY, Refusal.BAD_TIMESTAMP),
    "unknown serial": (changed(serial="PUB_KEY_ID_0000"), BODY, Refusal.UNKNOWN_SERIAL),
    "serial that is no serial": (changed(serial="../../etc"), BODY, Refusal.UNKNOWN_SERIAL),
    "another key": (lambda h: wechat.headers(BODY, signer="other"), BODY, Refusal.BAD_SIGNATURE),
    "signature is no base64": (changed(signature="not base64!"), BODY, Refusal.BAD_SIGNATURE),
    "probe": (changed(signature="WECHATPAY/SIGNTEST/abc"), BODY, Refusal.PROBE),
    "probe with unknown serial": (changed(signature="WECHATPAY/SIGNTEST/abc", serial="AB"), BODY, Refusal.PROBE),
    "swapped nonce": (changed(nonce="0000000000000000"), BODY, Refusal.BAD_SIGNATURE),
    "one byte": (lambda h: h, BODY.replace(b"EV-1", b"EV-2"), Refusal.BAD_SIGNATURE),
    "a space": (lambda h: h, BODY.replace(b"{", b"{ ", 1), Refusal.BAD_SIGNATURE),
    "written again": (lambda h: h, json.dumps(json.loads(BODY)).encode(), Refusal.BAD_SIGNATURE),
    "too large": (lambda h: h, b" " * (notices.MOST_BYTES + 1), Refusal.TOO_LARGE),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_what_is_not_proven_is_refused(table, name):
    change, body, reason = FORGERIES[name]
    verdict = await verify(table, change(wechat.headers(BODY)), body)
    assert isinstance(verdict, Rejected)
    assert verdict.reason is reason
    answer = notices.ack(verdict)
    assert answer.status in (401, 413)
    assert json.loads(answer.body)["code"] == "FAIL"


@pytest.mark.parametrize(
    ("body", "reason", "status"),
    [
        (b"<xml></xml>", Refusal.NOT_JSON, 401),
        (b"[]", Refusal.NOT_JSON, 401),
        (b"[" * 5000, Refusal.NOT_JSON, 401),
        (b'{"id":"a","id":"b"}', Refusal.NOT_JSON, 401),
        (wechat.envelope(wechat.transaction(NO), api_key="x" * 32), Refusal.UNREADABLE, 500),
        (BODY.replace(b"AEAD_AES_256_GCM", b"AEAD_SM4_128_GCM"), Refusal.UNREADABLE, 500),
        (wechat.envelope(wechat.transaction(NO, mchid="1900000999")), Refusal.FOREIGN, 403),
        (wechat.envelope(wechat.transaction(NO, appid="wx0000")), Refusal.FOREIGN, 403),
        (wechat.envelope({"mchid": "1900000999"}, event="REFUND.SUCCESS", original="refund"), Refusal.FOREIGN, 403),
    ],
)
async def test_a_good_signature_alone_is_not_enough(table, body, reason, status):
    verdict = await verify(table, wechat.headers(body), body)
    assert isinstance(verdict, Rejected)
    assert (verdict.reason, notices.ack(verdict).status) == (reason, status)


@pytest.mark.parametrize(
    ("plain", "original"),
    [
        ({"mchid": wechat.MCHID, "order_id": "1"}, "profitsharing"),
        ({"mchid": wechat.MCHID, "out_parking_no": "1"}, "transaction"),
        (wechat.transaction(NO, transaction_id=None), "transaction"),
        (wechat.transaction(NO, amount__total="1000"), "transaction"),
        (wechat.transaction(NO, amount__total=0), "transaction"),
        (wechat.transaction(NO, amount__total=True), "transaction"),
    ],
)
async def test_other_products_are_taken_note_of_and_move_nothing(table, plain, original):
    body = wechat.envelope(plain, original=original)
    verdict = await verify(table, wechat.headers(body), body)
    assert isinstance(verdict, VerifiedNotice)
    assert verdict.evidence is None


async def test_a_refund_notice_names_its_refund(table):
    plain = {"mchid": wechat.MCHID, "out_trade_no": NO, "out_refund_no": "R1", "refund_status": "SUCCESS"}
    body = wechat.envelope(plain, event="REFUND.SUCCESS", original="refund")
    verdict = await verify(table, wechat.headers(body), body)
    assert (verdict.evidence, verdict.refund_no, verdict.payment_no) == (None, "R1", NO)


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"trade_state": "REFUND"}, Outcome.PAID),  # partly refunded orders were paid
        ({"trade_state": "USERPAYING"}, Outcome.NO_REPLY),  # an unknown word is pending, never lost
        ({"success_time": None}, Outcome.PAID),
        ({"success_time": "yesterday"}, Outcome.PAID),
        ({"payer": None}, Outcome.PAID),
        ({"attach": "x"}, Outcome.PAID),
    ],
)
async def test_what_an_order_object_says(table, changes, outcome):
    body = wechat.envelope(wechat.transaction(NO, **changes))
    assert (await verify(table, wechat.headers(body), body)).evidence.outcome is outcome


async def test_both_kinds_of_keys_verify_at_once(table, shelf):
    platform = key_tables.parse_certificate(wechat.certificate("platform", serial=0x0BC0B9D2))
    assert platform.serial == "0BC0B9D2"
    shelf.certificates = [platform]
    for serial in ("BC0B9D2", wechat.PUBLIC_ID, "0bc0b9d2", wechat.PUBLIC_ID):
        signer = "public" if serial == wechat.PUBLIC_ID else "platform"
        assert isinstance(await verify(table, wechat.headers(BODY, signer=signer, serial=serial), BODY), VerifiedNotice)
    # The serial chooses the key; a right signature under the other name is refused.
    crossed = wechat.headers(BODY, signer="platform", serial=wechat.PUBLIC_ID)
    assert (await verify(table, crossed, BODY)).reason is Refusal.BAD_SIGNATURE


async def test_a_certificate_past_its_end_verifies_nothing(table, shelf, frozen_clock):
    shelf.certificates = [key_tables.parse_certificate(wechat.certificate("platform", serial=0xAB, days=1))]
    assert isinstance(await verify(table, wechat.headers(BODY, signer="platform", serial="AB"), BODY), VerifiedNotice)
    frozen_clock.advance(days=2)
    late = wechat.headers(BODY, signer="platform", serial="AB")
    assert (await verify(table, late, BODY)).reason is Refusal.UNKNOWN_SERIAL


async def test_a_thousand_unknown_serials_cause_one_look_and_one_word(table, shelf, frozen_clock):
    headers = wechat.headers(BODY, serial="AB")
    for n in range(1000):
        assert (await verify(table, headers | {"Wechatpay-Serial": f"{n:04X}"}, BODY)).reason is Refusal.UNKNOWN_SERIAL
    assert (shelf.loads, shelf.told) == (1, 1)
    frozen_clock.advance(seconds=61)
    await verify(table, wechat.headers(BODY, serial="AB"), BODY)
    assert (shelf.loads, shelf.told) == (2, 2)


@pytest.mark.parametrize("junk", [b"", b"-----BEGIN CERTIFICATE-----\n"])
def test_junk_is_no_certificate(junk):
    with pytest.raises(rsa_keys.UnusableKey):
        key_tables.parse_certificate(junk)
