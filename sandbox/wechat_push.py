"""WeChat's message push: events shaped as JSON or XML, signed and encrypted as the console is set, sent with repeats."""

import base64
import hashlib
import json
import secrets
import struct
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sandbox.callbacks import Callback
from sandbox.control import ControlError
from sandbox.partner import Partner, Sent
from sandbox.store import Doc

PATH = "/api/v1/callbacks/wechat"
ANSWER_S = 5
LADDER = (5.0, 5.0)  # three tries in all
MODES = ("secure", "plain", "compatible")
FORMATS = ("json", "xml")
TAMPERS = ("none", "signature", "wrong_appid", "truncated", "stale")

# In XML the list of a subscribe event sits under its own name; in JSON it is always called List.
_XML_LISTS = {
    "subscribe_msg_popup_event": "SubscribeMsgPopupEvent",
    "subscribe_msg_change_event": "SubscribeMsgChangeEvent",
    "subscribe_msg_sent_event": "SubscribeMsgSentEvent",
}


@dataclass(frozen=True)
class Identity:
    """What the console of the mini-program says about message push."""

    appid: str
    original_id: str
    token: str
    aes_key: str


def sha1_of(*parts: str) -> str:
    """WeChat's signature: SHA-1 of the sorted parts without separator."""
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324 - the partner's protocol


def encrypt(plain: bytes, *, aes_key: str, appid: str) -> str:
    """AES-256-CBC over 16 random bytes + length + message + appid, PKCS#7 padded to blocks of 32."""
    key = base64.b64decode(aes_key + "=")
    framed = secrets.token_bytes(16) + struct.pack(">I", len(plain)) + plain + appid.encode()
    short = 32 - len(framed) % 32
    encryptor = Cipher(algorithms.AES(key), modes.CBC(key[:16])).encryptor()
    return base64.b64encode(encryptor.update(framed + bytes([short]) * short) + encryptor.finalize()).decode()


def shape_json(message: Doc) -> bytes:
    """`List` is an object when there is one entry and an array when there are several: WeChat's trap."""
    shaped = dict(message)
    entries = shaped.get("List")
    if isinstance(entries, list) and len(entries) == 1:
        shaped["List"] = entries[0]
    return json.dumps(shaped, ensure_ascii=False, separators=(",", ":")).encode()


def shape_xml(message: Doc) -> bytes:
    """The XML twin, lists as repeated `<List>` under the event's own name."""
    shaped = dict(message)
    entries = shaped.pop("List", None)
    if entries is not None:
        name = _XML_LISTS.get(str(message.get("Event")), "List")
        shaped[name] = {"List": entries} if name != "List" else entries
    return f"<xml>{_elements(shaped)}</xml>".encode()


def _elements(fields: Doc) -> str:
    return "".join(_element(name, value) for name, value in fields.items())


def _element(name: str, value: object) -> str:
    if isinstance(value, list):
        return "".join(_element(name, one) for one in value)
    if isinstance(value, dict):
        return f"<{name}>{_elements(value)}</{name}>"
    if isinstance(value, int):
        return f"<{name}>{value}</{name}>"
    text = str(value)
    return f"<{name}>{escape(text) if ']]>' in text else f'<![CDATA[{text}]]>'}</{name}>"


class Pusher:
    """Sends events to the product; delayed ones are persisted and repeated until the product says `success`."""

    def __init__(self, partner: Partner, identity: Identity) -> None:
        self.partner = partner
        self.identity = identity
        partner.callbacks.on("push", self._deliver, ladder=LADDER)

    def event(self, openid: str, name: str, entries: list[Doc] | None = None, **fields: Any) -> Doc:
        """The message of an event, not yet shaped as JSON or XML."""
        created = int(self.partner.now_s())
        message: Doc = {
            "ToUserName": self.identity.original_id,
            "FromUserName": openid,
            "CreateTime": str(created) if self.partner.config["create_time_text"] else created,
            "MsgType": "event",
            "Event": name,
        }
        if entries is not None:
            message["List"] = entries
        return {**message, **fields}

    def later(self, message: Doc, *, after_s: float = 0) -> None:
        """Push in the background, `push_copies` times over (WeChat repeats deliberately); call it inside the transaction."""
        for _ in range(int(self.partner.config["push_copies"])):
            self.partner.callbacks.later("push", {"message": message}, after_s=after_s)

    async def now(self, message: Doc, **how: Any) -> Sent:
        """Push at once and wait for the answer."""
        request = self.request(message, **how)
        return await self.partner.post(
            request["url"], headers=request["headers"], body=request["body"].encode(), timeout_s=ANSWER_S
        )

    def request(
        self,
        message: Doc,
        *,
        mode: str | None = None,
        format: str | None = None,
        tamper: str = "none",
        skew_s: int = 0,
        url: str | None = None,
    ) -> Doc:
        """The finished request `{url, headers, body}`. Raises ControlError for an unknown mode, format or tamper."""
        mode = mode or str(self.partner.config["push_mode"])
        format = format or str(self.partner.config["push_format"])
        for chosen, choices in ((mode, MODES), (format, FORMATS), (tamper, TAMPERS)):
            if chosen not in choices:
                raise ControlError(400, f"只能是 {'、'.join(choices)}")
        skew_s = skew_s - 86400 if tamper == "stale" else skew_s
        timestamp, nonce = str(int(self.partner.now_s()) + skew_s), str(secrets.randbelow(10**10))
        query = {"signature": sha1_of(self.identity.token, timestamp, nonce), "timestamp": timestamp, "nonce": nonce}
        shape = shape_json if format == "json" else shape_xml
        body = shape(message)
        if mode != "plain":
            sealed = self._seal(body, tamper)
            signature = sha1_of(self.identity.token, timestamp, nonce, sealed)
            signature = signature[::-1] if tamper == "signature" else signature
            query |= {"openid": message["FromUserName"], "encrypt_type": "aes", "msg_signature": signature}
            envelope = {"ToUserName": self.identity.original_id, "Encrypt": sealed}
            body = shape(message | {"Encrypt": sealed} if mode == "compatible" else envelope)
        elif tamper == "signature":
            query["signature"] = query["signature"][::-1]
        kind = "application/json" if format == "json" else "text/xml"
        return {
            "url": self._address(url, query),
            "headers": {"Content-Type": kind, "User-Agent": "Mozilla/4.0"},
            "body": body.decode(),
        }

    async def check_address(self, *, wrong_signature: bool = False, url: str | None = None) -> Doc:
        """The GET with `echostr` that WeChat makes when the operator saves the callback address."""
        timestamp, nonce, echo = str(int(self.partner.now_s())), secrets.token_hex(5), secrets.token_hex(10)
        signature = sha1_of(self.identity.token, timestamp, nonce)
        signature = signature[::-1] if wrong_signature else signature
        query = {"signature": signature, "timestamp": timestamp, "nonce": nonce, "echostr": echo}
        sent = await self.partner.post(
            self._address(url, query), headers={}, body=b"", timeout_s=ANSWER_S, method="GET"
        )
        return {"accepted": sent.status == 200 and sent.body.decode("utf-8", "replace") == echo, "answer": sent.view()}

    def _seal(self, body: bytes, tamper: str) -> str:
        appid = "wx0000000000000000" if tamper == "wrong_appid" else self.identity.appid
        sealed = encrypt(body, aes_key=self.identity.aes_key, appid=appid)
        return sealed[: len(sealed) // 2] if tamper == "truncated" else sealed

    def _address(self, url: str | None, query: dict[str, str]) -> str:
        parts = urlsplit(url or self.partner.notify_url(PATH))
        return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, urlencode(query))))))

    async def _deliver(self, callback: Callback) -> bool:
        sent = await self.now(callback.payload["message"])
        return sent.status == 200 and sent.body.strip() in (b"", b"success")
