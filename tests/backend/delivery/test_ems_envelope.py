"""The EMS envelope and its callbacks, without a network: what opens, what is refused, in whatever shape it comes."""

import base64
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.delivery.carriers import ems, ems_envelope
from backend.delivery.carriers.base import BadCallback, CarrierUnclear
from backend.delivery.settings import EmsSettings, parse_opcodes
from backend.delivery.states import Canonical
from kernel import crypto
from kernel.http import Partner

SIGN_KEY = base64.b64encode(bytes(range(16))).decode()
OTHER_KEY = base64.b64encode(bytes(range(1, 17))).decode()
EVENT = {"waybillNo": "1100000000001", "opCode": "702", "opName": "派件", "opTime": "2026-11-20 10:00:00"}
documents = st.dictionaries(st.text(max_size=8), st.text(max_size=20) | st.integers() | st.booleans(), max_size=5)


def settings(**changes: object) -> EmsSettings:
    values = {"base_url": "http://127.0.0.1:1", "sender_no": "1100", "authorization": "auth", "sign_key": SIGN_KEY}
    return EmsSettings(**(values | changes))


def carrier(**changes: object) -> ems.Ems:
    return ems.Ems(settings(**changes), Partner("ems", "http://127.0.0.1:1"))


def callback(event: object = EVENT, *, key: str = SIGN_KEY, suffix: str = "", **outer: object) -> bytes:
    plain = json.dumps(event, ensure_ascii=False) + suffix
    sealed = crypto.sm4_ecb_encrypt(base64.b64decode(key), plain.encode())
    fields = {
        "logitcsInterface": "|$4|" + base64.b64encode(sealed).decode(),
        "method": "040002",
        "senderNo": "1100",
        "serialNo": "s1",
    }
    return json.dumps(fields | outer).encode()


@given(documents)
def test_what_is_sealed_opens_again(document: dict[str, object]) -> None:
    assert ems_envelope.decrypt(ems_envelope.encrypt(document, SIGN_KEY), SIGN_KEY) == document


def test_a_known_envelope() -> None:
    """Independent of our own code: the block cipher's published example as the key, decrypted step by step."""
    envelope = ems_envelope.encrypt({"a": 1}, SIGN_KEY)
    assert envelope.startswith("|$4|")
    plain = crypto.sm4_ecb_decrypt(base64.b64decode(SIGN_KEY), base64.b64decode(envelope[4:])).decode()
    assert plain == '{"a":1}' + SIGN_KEY


@given(st.text(max_size=80) | st.binary(max_size=64).map(lambda raw: "|$4|" + base64.b64encode(raw).decode()))
def test_anything_else_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(ems_envelope.BadEnvelope):
        ems_envelope.decrypt(text, SIGN_KEY)


def test_a_wrong_key_prefix_or_a_bare_word_is_refused() -> None:
    good = ems_envelope.encrypt({"a": 1}, SIGN_KEY)
    for bad in (good[4:], "|$2|" + good[4:], good[:-4], ems_envelope.encrypt("word", SIGN_KEY)):
        with pytest.raises(ems_envelope.BadEnvelope):
            ems_envelope.decrypt(bad, SIGN_KEY)
    with pytest.raises(ems_envelope.BadEnvelope):
        ems_envelope.decrypt(good, OTHER_KEY)


@pytest.mark.parametrize(
    ("body", "items"),
    [
        ('{"waybillNo":"1"}', [{"waybillNo": "1"}]),
        ({"waybillNo": "1"}, [{"waybillNo": "1"}]),
        ([{"waybillNo": "1"}, "junk"], [{"waybillNo": "1"}]),
        ('{"responseItems":[{"a":"1"},{"b":"2"}]}', [{"a": "1"}, {"b": "2"}]),
        (None, []),
        ("", []),
        ("https://label.example/1.pdf", []),
        ("[]", []),
    ],
)
def test_every_shape_of_a_body(body: object, items: list[dict[str, str]]) -> None:
    assert ems_envelope.items_of(ems_envelope.body_of({"retBody": body})) == items


@pytest.mark.parametrize("suffix", ["", SIGN_KEY])
def test_a_callback_opens_with_and_without_the_signing_text(suffix: str) -> None:
    read = carrier().parse_callback({}, callback(suffix=suffix))
    (event,) = read.events
    assert (event.code, event.canonical, event.at) == (
        "702",
        Canonical.OUT_FOR_DELIVERY,
        datetime(2026, 11, 20, 2, tzinfo=UTC),
    )
    assert read.reply_token == "s1"


def test_a_copy_has_the_same_id_whatever_its_envelope() -> None:
    ids = {
        carrier().parse_callback({}, callback(suffix=s, serialNo=n)).external_id for s in ("", SIGN_KEY) for n in "ab"
    }
    assert len(ids) == 1


def test_a_form_is_read_like_json() -> None:
    form = urlencode(json.loads(callback())).encode()
    assert carrier().parse_callback({}, form).events == carrier().parse_callback({}, callback()).events


def test_several_events_in_one_callback() -> None:
    later = {**EVENT, "opCode": "748", "opTime": "2026-11-20 11:00:00"}
    assert [e.canonical for e in carrier().parse_callback({}, callback([EVENT, later])).events] == [
        Canonical.OUT_FOR_DELIVERY,
        Canonical.SIGNED,
    ]


@pytest.mark.parametrize(
    "raw",
    [
        callback(key=OTHER_KEY),
        callback(senderNo="someone else"),
        callback(method="020003"),
        callback(logitcsInterface=json.dumps(EVENT)),
        callback(logitcsInterface=None),
        callback({**EVENT, "opTime": "yesterday"}),
        callback({**EVENT, "opCode": ""}),
        callback({**EVENT, "waybillNo": None}),
        callback([]),
        callback("text"),
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"{" * 5000,
    ],
)
def test_what_is_not_provably_for_us_is_refused(raw: bytes) -> None:
    with pytest.raises(BadCallback):
        carrier().parse_callback({}, raw)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_never_changes_which_parcel_what_and_when(place: int, bit: int) -> None:
    """ECB without a MAC: a flip garbles a block, which is refused or at most changes words nobody acts on."""
    good = callback(suffix=SIGN_KEY)
    outer = json.loads(good)
    raw = bytearray(base64.b64decode(outer["logitcsInterface"][4:]))
    raw[place % len(raw)] ^= 1 << bit
    outer["logitcsInterface"] = "|$4|" + base64.b64encode(bytes(raw)).decode()
    try:
        (event,) = carrier().parse_callback({}, json.dumps(outer).encode()).events
    except BadCallback:
        return
    original = carrier().parse_callback({}, good).events[0]
    assert (event.waybill_no, event.code, event.at) == (original.waybill_no, original.code, original.at)


def test_only_listed_addresses_may_call_when_there_is_a_list() -> None:
    guarded = carrier(callback_addresses=("10.1.2.3",))
    assert guarded.parse_callback({"X-Real-IP": "10.1.2.3"}, callback()).events
    for headers in ({}, {"x-real-ip": "10.9.9.9"}):
        with pytest.raises(BadCallback):
            guarded.parse_callback(headers, callback())


def test_the_answer_is_what_the_carrier_waits_for() -> None:
    reply = carrier().acknowledge("s1", accepted=True)
    assert json.loads(reply.body) == {"serialNo": "s1", "code": "00000", "codeMessage": "成功", "senderNo": "1100"}
    assert json.loads(carrier().acknowledge("s1", accepted=False).body)["code"] != "00000"


def test_codes_are_configuration_and_unknown_ones_stay_unknown() -> None:
    mine = carrier(opcodes=parse_opcodes("999=LOST"))
    assert mine.parse_callback({}, callback({**EVENT, "opCode": "999"})).events[0].canonical is Canonical.LOST
    assert mine.parse_callback({}, callback()).events[0].canonical is Canonical.UNKNOWN
    with pytest.raises(ValueError, match="不认识"):
        parse_opcodes("702=DELIVERED")


@pytest.mark.parametrize("text", ["", "not base64!", base64.b64encode(b"short").decode()])
def test_a_key_that_sm4_cannot_use_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="16 字节"):
        settings(sign_key=text, authorization="" if not text else "auth")


def test_without_a_signing_key_the_authorisation_takes_its_place() -> None:
    assert settings(sign_key="", authorization=SIGN_KEY).signing_text == SIGN_KEY


@pytest.mark.parametrize(("yuan", "fen"), [("12.00", 1200), ("0.01", 1), (20, 2000), ("20.5", 2050), (8.0, 800)])
def test_yuan_become_exact_fen(yuan: object, fen: int) -> None:
    assert ems._fen(yuan) == fen


@pytest.mark.parametrize("yuan", ["0", "-1", "1.001", "NaN", "Infinity", "1e9", "x", None, {}, "1001"])
def test_an_absurd_fee_is_no_price(yuan: object) -> None:
    with pytest.raises(CarrierUnclear):
        ems._fen(yuan)
