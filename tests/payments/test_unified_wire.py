"""Frames, proofs, XML and money on the wire of the finance platform, byte by byte."""

import hashlib

import msgspec
import pytest

from payments.gateways.unified_pay import envelopes, frames, profile, wording, xmltext
from payments.gateways.unified_pay.book import DemandLine
from payments.gateways.unified_pay.envelopes import Outgoing, Parties, ProofFailed
from payments.gateways.unified_pay.frames import FrameError, FrameReader
from payments.gateways.unified_pay.xmltext import XmlError

DEMO, PROVINCE = profile.load("demo_county"), profile.load("provincial_xml")
PARTIES = Parties(our_node="K1", their_node="F1", secret="a-secret-of-both")


def message(**fields) -> bytes:
    return envelopes.write(DEMO, PARTIES, Outgoing(number="5996", msg_id="M1", date="20261120", fields=fields))


def reframed(body: bytes, proof: str | None = None, number: str = "5996") -> bytes:
    mac = proof or hashlib.sha256(PARTIES.secret.encode() + body).hexdigest()
    return frames.pack(DEMO.framing, frames.Frame(number, body, mac))


def test_the_layout_is_the_documented_one():
    raw = message(PayCode="1")
    assert raw[:8] == str(len(raw)).ljust(8).encode() and raw[8:23] == b"CNNONTAX1.05996" and raw[23:28] == b"<?xml"
    body, mac = raw[23:-64], raw[-64:]
    assert mac.decode() == hashlib.sha256(b"a-secret-of-both" + body).hexdigest()
    assert raw.isascii() and body.endswith(b"</CFX>")


def test_frames_are_found_however_the_stream_is_cut():
    one, two = message(PayCode="1"), message(PayCode="22")
    stream = one + b"\r\n" + two + b"\n"
    for step in (1, 7, 8, 9, len(one), len(one) + 3, len(stream)):
        reader, found = FrameReader(DEMO.framing), []
        for at in range(0, len(stream), step):
            found += reader.feed(stream[at : at + step])
        assert found == [one, two] and not reader.unfinished
    assert frames.split(DEMO.framing, stream) == [one, two]


@pytest.mark.parametrize("damage", ["short", "long", "cut", "zeros", "right", "letters", "huge", "tiny", "empty"])
def test_a_length_that_cannot_be_is_refused(damage):
    raw = message(PayCode="1")
    lengths = {
        "short": str(len(raw) - 10).ljust(8), "long": str(len(raw) + 10).ljust(8), "zeros": f"{len(raw):08d}",
        "right": f"{len(raw):>8}", "letters": "12a     ", "huge": "99999999", "tiny": "10      ",
    }  # fmt: skip
    broken = {"cut": raw[:-1], "empty": b""}.get(damage, lengths.get(damage, "").encode() + raw[8:])
    with pytest.raises(FrameError):
        frames.split(DEMO.framing, broken)


def test_a_proof_counts_in_both_cases_and_nothing_else_does():
    raw = message(PayCode="1")
    assert xmltext.at(envelopes.read(DEMO, PARTIES, raw[:-64] + raw[-64:].upper()).tree, "PayCode") == "1"
    for broken in (raw[:-1] + b"x", raw.replace(b"<VER>1.0", b"<VER>1.1")):
        with pytest.raises(ProofFailed):
            envelopes.read(DEMO, PARTIES, broken)
    stranger = Parties(our_node="K1", their_node="F1", secret="another-secret")
    with pytest.raises(ProofFailed):
        envelopes.read(DEMO, stranger, raw)


def test_a_body_that_goes_on_after_its_root_is_refused_although_its_proof_holds():
    """Whoever knows one proof of a secret-first hash can make the proof of a longer text."""
    body = message(PayCode="1")[23:-64]
    for longer in (body + b"\x80\x00<X/>", body + b" ", body + b"<CFX></CFX "):
        with pytest.raises((ProofFailed, FrameError)):
            envelopes.read(DEMO, PARTIES, reframed(longer))


@pytest.mark.parametrize(
    "body",
    [
        b"<CFX></CFX>",
        b"<CFX><HEAD><MsgNo>8001</MsgNo></HEAD></CFX>",
        b"<CFX><HEAD><MsgNo>5996</MsgNo></HEAD><MSG><MOF><VoucherBody><Voucher>!!</Voucher></VoucherBody></MOF></MSG></CFX>",
        b"<!DOCTYPE CFX [<!ENTITY a 'b'>]><CFX><HEAD><MsgNo>5996</MsgNo></HEAD></CFX>",
        b"<CFX><HEAD></CFX>",
    ],
)
def test_what_is_signed_and_still_no_message_is_refused(body):
    with pytest.raises(XmlError):
        envelopes.read(DEMO, PARTIES, reframed(body))


@pytest.mark.parametrize("name", ["王桂兰", "李㛃", "王䶮", "𠮷田", "a&b<c>", "张\x00三"])
def test_names_survive_the_way_there_and_back(name):
    """GBK lacks the rarest characters: they travel as numeric references, and the four-byte forms of others are read too."""
    back = envelopes.read(DEMO, PARTIES, message(PayerName=name)).tree
    assert xmltext.at(back, "PayerName") == name.replace("\x00", "")
    theirs = f"<Voucher><PayerName>{xmltext.escaped(name)}</PayerName></Voucher>".encode("gb18030")
    assert xmltext.at(xmltext.parse(xmltext.decoded(theirs, "gbk"), "Voucher"), "PayerName") == name.replace("\x00", "")


def test_bytes_of_another_character_set_are_refused():
    with pytest.raises(XmlError):
        xmltext.decoded("<ROOT>王</ROOT>".encode("gb18030")[:-8] + b"\xff\xff", "gbk")


def test_plain_xml_nests_names_and_repeats():
    raw = envelopes.write(
        PROVINCE, PARTIES,
        Outgoing(
            number="Put", msg_id="1", date="20261120", fields={"REQUEST/PARAM@NOTICENO": "1&2", "REQUEST/A/B": "乙"},
            groups=[("REQUEST/A/P", {"X": "1"}), ("REQUEST/A/P", {"X": "2"})],
        ),
    )  # fmt: skip
    text = raw.decode("gbk")
    assert '<PARAM NAME="NOTICENO">1&amp;2</PARAM>' in text and text.startswith(
        '<?xml version="1.0" encoding="GBK"?><ROOT>'
    )
    tree = envelopes.read(PROVINCE, PARTIES, raw).tree
    assert [xmltext.at(group, "X") for group in xmltext.groups(tree, "REQUEST/A/P")] == ["1", "2"]
    assert xmltext.at(tree, "REQUEST/A/B") == "乙" and xmltext.at(tree, "REQUEST/NOTHING/B") == ""


@pytest.mark.parametrize(("text", "fen"), [("80.0", 8000), ("0.01", 1), ("80", 8000), ("10.00", 1000)])
def test_money_is_read_exactly(text, fen):
    assert wording.amount_fen(DEMO, text) == fen


@pytest.mark.parametrize("text", ["", "0", "0.00", "-1", "1.001", "1e3", "１０", "1,000", " 1", "NaN", "+1"])
def test_what_is_no_money_is_none(text):
    assert wording.amount_fen(DEMO, text) is None


def test_a_platform_may_speak_fen(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('extends = "cnnontax"\n[amount]\nunit = "fen"\n', encoding="utf-8")
    found = profile.load(str(own))
    assert wording.amount_text(found, 1000) == "1000" and wording.amount_fen(found, "1000") == 1000
    assert wording.amount_fen(found, "10.00") is None and wording.amount_fen(found, "٣") is None


def test_moments_are_beijing_time_and_nonsense_is_none():
    found = wording.moment("20261120", "093000")
    assert found.isoformat() == "2026-11-20T09:30:00+08:00"
    for date, time in (("20261320", "000000"), ("2026112", "000000"), ("20261120", "250000"), ("", "")):
        assert wording.moment(date, time) is None


def test_items_are_summed_by_code_and_cannot_break_the_list():
    lines = [
        DemandLine(code="A", name="学费|一#期", quantity=1, amount_fen=100),
        DemandLine(code="B", name="乙", quantity=2, amount_fen=0),
        DemandLine(code="A", name="学费", quantity=1, amount_fen=50),
    ]
    (only,) = wording.items(DEMO, lines)
    assert only["item_amount"] == "1.50" and only["item_quantity"] == "2" and only["item_name"] == "学费／一＃期"


@pytest.mark.parametrize(
    ("opens", "shuts", "at", "inside"),
    [("00:00", "24:00", "03:00", True), ("06:00", "22:30", "22:30", False), ("06:00", "22:30", "06:00", True),
     ("22:00", "06:00", "23:00", True), ("22:00", "06:00", "12:00", False)],
)  # fmt: skip
def test_hours_may_pass_midnight(opens, shuts, at, inside):
    found = msgspec.structs.replace(DEMO, hours=profile.Hours(open=opens, shut=shuts))
    moment = wording.moment("20261120", at.replace(":", "") + "00")
    assert wording.in_hours(found, moment) is inside
