"""WeChat's message push: verifying, decrypting, storing, and reading its oddly shaped events. What they mean is decided elsewhere."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
import xmltodict

from kernel import clock, crypto, db, inbox, metrics
from kernel.problems import Problem
from kernel.wechat import WeChatSettings, decrypt_push

log = structlog.get_logger(__name__)
_REFUSED = metrics.counter("wechat_push_refused", "Pushes that were not believed")

PARTNER = "wechat"
_WINDOW_SECONDS = 600


class PushRefused(Problem):
    """Unsigned, wrongly signed, too old, not for us or not readable; one answer for every reason."""

    status, code, title = 400, "push-refused", "消息推送未通过校验"


class PushUnreadable(Exception):
    """A verified message in a shape nobody knows."""


@dataclass(frozen=True)
class PushEvent:
    """One event, whatever format it came in. `entries` are the items of its list; every value is text."""

    name: str
    openid: str = field(repr=False)
    created_at_s: int
    entries: tuple[dict[str, str], ...]


class PushDoor:
    """The callback address of one mini-program. Only the secure mode is accepted: the plain one signs no content."""

    def __init__(self, settings: WeChatSettings) -> None:
        self._settings = settings

    def check_address(self, query: Mapping[str, str]) -> str:
        """WeChat's GET when the operator saves the address: the text to answer. Raises PushRefused."""
        self._verify(query, "signature")
        return query.get("echostr", "")

    async def receive(self, query: Mapping[str, str], body: bytes) -> bool:
        """Verifies and stores one push; answer the literal "success" afterwards. False for a copy. Raises PushRefused."""
        encrypted = self._envelope(body)
        self._verify(query, "msg_signature", encrypted)
        try:
            plain = decrypt_push(
                self._settings,
                encrypted=encrypted,
                signature=query["msg_signature"],
                timestamp=query["timestamp"],
                nonce=query["nonce"],
            )
        except Exception as error:  # the library has no common base for its refusals
            raise self._refused(type(error).__name__) from None
        async with db.transaction():
            # Remembered together with the message: a crash between the two must not turn WeChat's repeat into a replay.
            if not await inbox.remember_nonce(PARTNER, f"{query['timestamp']}:{query['nonce']}"[:128]):
                return False
            return await inbox.receive(
                partner=PARTNER, external_id=hashlib.sha256(plain).hexdigest(), headers={}, body=plain
            )

    def _envelope(self, body: bytes) -> str:
        try:
            encrypted = read_fields(body).get("Encrypt")
        except PushUnreadable:
            encrypted = None
        # Base64 is ASCII; JSON may also write half a character, which nothing could be computed from.
        if not isinstance(encrypted, str) or not encrypted or not encrypted.isascii():
            raise self._refused("no envelope")
        return encrypted

    def _verify(self, query: Mapping[str, str], name: str, *more: str) -> None:
        timestamp, nonce, signature = query.get("timestamp", ""), query.get("nonce", ""), query.get(name, "")
        if not self._settings.push_token or not nonce or not (timestamp.isascii() and timestamp.isdigit()):
            raise self._refused("incomplete")
        parts = sorted((self._settings.push_token, timestamp, nonce, *more))
        expected = hashlib.sha1("".join(parts).encode()).hexdigest()  # noqa: S324 - WeChat's protocol
        if not crypto.constant_equal(expected, signature):
            raise self._refused("signature")
        if abs(int(timestamp[:12]) - clock.now().timestamp()) > _WINDOW_SECONDS:
            raise self._refused("timestamp")

    def _refused(self, reason: str) -> PushRefused:
        _REFUSED.inc()
        log.warning("wechat.push_refused", reason=reason)
        return PushRefused()


def read_fields(body: bytes) -> dict[str, Any]:
    """The fields of a JSON or XML message. Raises PushUnreadable. XML entities are refused by the parser."""
    text = body.strip()
    try:
        fields = xmltodict.parse(text)["xml"] if text.startswith(b"<") else json.loads(text)
    except Exception as error:  # the two parsers share no base class; every one of their complaints means the same
        raise PushUnreadable(type(error).__name__) from None
    if not isinstance(fields, dict):
        raise PushUnreadable("not an object")
    return fields


def read_event(body: bytes) -> PushEvent:
    """The event in a decrypted message. Raises PushUnreadable.

    A list is an object when it has one item and an array otherwise, stands under another name in XML, and numbers
    come as text or as numbers: all of that ends here.
    """
    fields = read_fields(body)
    name, openid = fields.get("Event"), fields.get("FromUserName")
    created = str(fields.get("CreateTime", ""))
    if not isinstance(name, str) or not isinstance(openid, str) or not (created.isascii() and created.isdigit()):
        raise PushUnreadable("no event")
    return PushEvent(name, openid, int(created[:12]), tuple(_entries(fields)))


def _entries(fields: dict[str, Any]) -> list[dict[str, str]]:
    found = fields.get("List", fields.get("Actions"))
    if found is None:
        nested = [value for key, value in fields.items() if key.startswith("SubscribeMsg") and isinstance(value, dict)]
        found = nested[0].get("List") if nested else None
    items = found if isinstance(found, list) else [found]
    return [{key: _text(value) for key, value in item.items()} for item in items if isinstance(item, dict)]


def _text(value: Any) -> str:
    return "" if value is None else str(value)
