"""Frames of the finance front end (CNNONTAX over TCP): length prefix, XML with base64 vouchers, hash at the end. No state."""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

import xmltodict

LENGTH_DIGITS, HASH_CHARACTERS, HEADER = 8, 64, 23
MOST_BYTES = 1 << 20
_MAGIC, _VERSION = b"CNNONTAX", b"1.0"
_DECLARATION = '<?xml version="1.0" encoding="GBK" standalone="yes"?>'


class FrameError(Exception):
    """The bytes are no frame of ours; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message: its number, who sends it, and the fields of its only voucher."""

    number: str
    msg_id: str
    msg_ref: str = ""
    source: str = ""
    target: str = ""
    fields: dict[str, str] = field(default_factory=dict)


def mac(token: str, xml: bytes, *, upper: bool = True) -> bytes:
    """What stands behind the XML: SHA-256 of secret and XML, in the platform's upper case."""
    digest = hashlib.sha256(token.encode() + xml).hexdigest()
    return (digest.upper() if upper else digest).encode()


def write(message: Message, token: str, *, work_date: str, upper: bool = True) -> bytes:
    """A finished frame."""
    xml = _xml(message, work_date)
    body = _MAGIC + _VERSION + message.number.encode() + xml + mac(token, xml, upper=upper)
    length = str(LENGTH_DIGITS + len(body)).ljust(LENGTH_DIGITS).encode()
    return length + body


def read(frame: bytes, token: str) -> Message:
    """Checks a whole frame as strictly as the platform does. Raises FrameError."""
    if announced(frame) != len(frame):
        raise FrameError("长度与报文不符")
    if frame[8:16] != _MAGIC or frame[16:19] != _VERSION or not frame[19:23].isdigit():
        raise FrameError("报文头不是 CNNONTAX1.0")
    xml, proof = frame[HEADER:-HASH_CHARACTERS], frame[-HASH_CHARACTERS:]
    if not xml.endswith(b"</CFX>") or not frame.isascii():
        raise FrameError("报文体不是以 CFX 为根的 ASCII 报文")
    if not hmac.compare_digest(mac(token, xml, upper=False), proof.lower()):
        raise FrameError("校验码不符")
    return _message(xml, frame[19:23].decode())


def announced(data: bytes) -> int:
    """The length a frame says it has: decimal, left-aligned, padded with blanks, counting itself. Raises FrameError."""
    text = data[:LENGTH_DIGITS]
    if not re.fullmatch(rb"[1-9][0-9]* *", text) or len(text) != LENGTH_DIGITS:
        raise FrameError("长度域不是左对齐的十进制数")
    length = int(text)
    if not HEADER + HASH_CHARACTERS < length <= MOST_BYTES:
        raise FrameError("长度超出范围")
    return length


def split(data: bytes) -> list[bytes]:
    """The frames of an answer that may hold several; a line break may follow each. Raises FrameError."""
    found = []
    while data := data.lstrip(b"\r\n"):
        length = announced(data)
        if len(data) < length:
            raise FrameError("报文不完整")
        found.append(data[:length])
        data = data[length:]
    return found


def _xml(message: Message, work_date: str) -> bytes:
    voucher = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in message.fields.items())
    sealed = base64.b64encode(f"<Voucher>{voucher}</Voucher>".encode("gb18030")).decode()
    head = "".join(
        f"<{name}>{escape(value)}</{name}>"
        for name, value in (
            ("APP", "CNNONTAX"), ("VER", "1.0"), ("SRC", message.source), ("DES", message.target), ("MsgNo", message.number),
            ("MsgID", message.msg_id), ("MsgRef", message.msg_ref), ("WorkDate", work_date), ("Reserve", ""),
        )
    )  # fmt: skip
    body = f"<MOF><VoucherCount>1</VoucherCount><VoucherBody><Voucher>{sealed}</Voucher></VoucherBody></MOF>"
    return f"{_DECLARATION}<CFX><HEAD>{head}</HEAD><MSG>{body}</MSG></CFX>".encode("ascii")


def _message(xml: bytes, number: str) -> Message:
    root = parse(xml.decode("ascii"), "CFX")
    head, body = root.get("HEAD"), (root.get("MSG") or {}).get("MOF")
    if not isinstance(head, dict) or not isinstance(body, dict) or head.get("MsgNo") != number:
        raise FrameError("报文头与报文编号不符")
    if head.get("APP") != "CNNONTAX" or not head.get("MsgID") or not re.fullmatch(r"\d{8}", head.get("WorkDate") or ""):
        raise FrameError("报文头缺少必填项")
    sealed = (body.get("VoucherBody") or {}).get("Voucher")
    try:
        text = base64.b64decode(str(sealed), validate=True).decode("gb18030")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise FrameError("凭证不是 base64 的 GBK 文本") from error
    fields = {
        name: value or "" for name, value in parse(text, "Voucher").items() if value is None or isinstance(value, str)
    }
    return Message(
        number=number, msg_id=head["MsgID"], msg_ref=head.get("MsgRef") or "", source=head.get("SRC") or "",
        target=head.get("DES") or "", fields=fields,
    )  # fmt: skip


def parse(text: str, root: str) -> dict[str, Any]:
    """The content of an XML text with this root; no document type, no entities of its own. Raises FrameError."""
    if "<!" in text:
        raise FrameError("报文含有不允许的声明")
    try:
        found = xmltodict.parse(re.sub(r"^\s*<\?xml[^>]*\?>", "", text))
    except Exception as error:
        raise FrameError("不是 XML") from error
    content = found.get(root)
    if not isinstance(content, dict):
        raise FrameError(f"根元素不是 {root}")
    return content
