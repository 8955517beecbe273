"""Between fields and the bytes of a message: framed vouchers with a proof, or plain XML. Which one a profile uses is its own data."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from payments.gateways.unified_pay import frames, proofs, xmltext
from payments.gateways.unified_pay.profile import Profile
from payments.gateways.unified_pay.xmltext import Tree, XmlError

_DECLARATION = '<?xml version="1.0" encoding="GBK" standalone="yes"?>'
Group = tuple[str, Mapping[str, str]]  # path and the fields of one repeated element


class ProofFailed(Exception):
    """The message is not from whom it should be, or was changed on the way."""


@dataclass(frozen=True, kw_only=True)
class Parties:
    """Who we are there, who they are, and what both know. The secret never appears in repr."""

    our_node: str
    their_node: str
    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A message of ours before it is written."""

    number: str
    msg_id: str
    date: str  # YYYYMMDD
    fields: Mapping[str, str]
    groups: Sequence[Group] = ()
    reply_to: str = ""


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """A received message whose proof holds, or that needs none. `number` is empty where messages have no number."""

    number: str
    msg_id: str
    reply_to: str
    tree: Tree = field(repr=False)


def write(profile: Profile, parties: Parties, message: Outgoing) -> bytes:
    """The exact bytes of a message."""
    if profile.envelope.kind == "plain":
        text = xmltext.nested(profile.envelope.root, [*message.fields.items(), *message.groups])
        charset = profile.envelope.charset
        return xmltext.encoded(f'<?xml version="1.0" encoding="{charset.upper()}"?>{text}', charset)
    voucher = xmltext.encoded(f"<Voucher>{xmltext.written(message.fields)}</Voucher>", profile.envelope.charset)
    head = xmltext.written(
        {
            "APP": "CNNONTAX", "VER": "1.0", "SRC": parties.our_node, "DES": parties.their_node, "MsgNo": message.number,
            "MsgID": message.msg_id, "MsgRef": message.reply_to, "WorkDate": message.date, "Reserve": "",
        }
    )  # fmt: skip
    sealed = base64.b64encode(voucher).decode()
    body = (
        f"{_DECLARATION}<{profile.envelope.root}><HEAD>{head}</HEAD><MSG><MOF><VoucherCount>1</VoucherCount><VoucherBody>"
        f"<Voucher>{sealed}</Voucher></VoucherBody></MOF></MSG></{profile.envelope.root}>"
    ).encode("ascii")
    proof = proofs.make(profile.proof, parties.secret, body)
    return frames.pack(profile.framing, frames.Frame(message.number, body, proof))


def read(profile: Profile, parties: Parties, raw: bytes) -> Incoming:
    """Checks the proof over the received bytes first, then opens. Raises FrameError, ProofFailed or XmlError."""
    if profile.envelope.kind == "plain":
        tree = xmltext.parse(xmltext.decoded(raw, profile.envelope.charset), profile.envelope.root)
        return Incoming(number="", msg_id="", reply_to="", tree=tree)
    frame = frames.unpack(profile.framing, raw)
    # A hash with the secret in front can be lengthened by a stranger: the body must end exactly where its root ends.
    if not frame.body.endswith(f"</{profile.envelope.root}>".encode()):
        raise ProofFailed
    if not proofs.holds(profile.proof, parties.secret, frame.body, frame.proof):
        raise ProofFailed
    outer = xmltext.parse(frame.body.decode("ascii"), profile.envelope.root)
    if xmltext.at(outer, "HEAD/MsgNo") != frame.number:
        raise XmlError("the number differs from the frame's")
    return Incoming(
        number=frame.number,
        msg_id=xmltext.at(outer, "HEAD/MsgID"),
        reply_to=xmltext.at(outer, "HEAD/MsgRef"),
        tree=_voucher(profile, outer),
    )


def _voucher(profile: Profile, outer: Tree) -> Tree:
    try:
        sealed = base64.b64decode(xmltext.at(outer, "MSG/MOF/VoucherBody/Voucher"), validate=True)
    except (binascii.Error, ValueError):
        raise XmlError("the voucher is not base64") from None
    return xmltext.parse(xmltext.decoded(sealed, profile.envelope.charset), "Voucher")
