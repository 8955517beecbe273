"""The EMS envelope: SM4-encrypted JSON ended by the signing text, and the shapes an answer may take. Pure, no network.

Facts the code depends on: the body is `|$4|` + base64(SM4-ECB-PKCS7(json + signKey)), the key is base64-decoded
signKey (16 bytes), and the *text* of signKey appended to the JSON is the only integrity check there is. `retBody` comes
as JSON in a string, an object, an array or `{"responseItems": […]}`. Times are China time without an offset.
"""

import base64
import binascii
import json
from datetime import datetime
from typing import Any

from kernel import clock, crypto

PREFIX = "|$4|"
OK = "00000"
_TIME_FORMAT = "%Y-%m-%d %H:%M:%S"
_YEARS = (2000, 2099)


class BadEnvelope(ValueError):
    """Cannot be opened with our key, or lacks what must be there."""


def encrypt(document: Any, signing_text: str) -> str:
    """The value of `logitcsInterface` (the misspelling is the real parameter name)."""
    plain = json.dumps(document, ensure_ascii=False, separators=(",", ":")) + signing_text
    sealed = crypto.sm4_ecb_encrypt(base64.b64decode(signing_text), plain.encode())
    return PREFIX + base64.b64encode(sealed).decode()


def decrypt(envelope: str, signing_text: str) -> Any:
    """The JSON inside. The carrier's callbacks come with and without the trailing signing text; both are accepted.

    Raises BadEnvelope for a wrong prefix, key or text, and for anything that is not a JSON object or array.
    """
    if not isinstance(envelope, str) or not envelope.startswith(PREFIX):
        raise BadEnvelope("wrong prefix")
    try:
        sealed = base64.b64decode(envelope[len(PREFIX) :], validate=True)
        text = crypto.sm4_ecb_decrypt(base64.b64decode(signing_text), sealed).decode("utf-8")
        document = json.loads(text.removesuffix(signing_text))
    except (binascii.Error, ValueError, RecursionError, crypto.BrokenSeal):
        raise BadEnvelope("cannot be opened") from None
    if not isinstance(document, dict | list):
        raise BadEnvelope("not a document")
    return document


def body_of(answer: dict[str, Any]) -> Any:
    """`retBody` decoded when it is JSON in a string; any other text (a URL, base64) and null stay as they are."""
    body = answer.get("retBody")
    if not isinstance(body, str):
        return body
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body


def items_of(body: Any) -> list[dict[str, Any]]:
    """The objects of a body in whatever shape it came: array, `{"responseItems": […]}` or one object."""
    if isinstance(body, dict):
        inner = body.get("responseItems")
        body = inner if isinstance(inner, list) else [body]
    return [item for item in body if isinstance(item, dict)] if isinstance(body, list) else []


def time_text(instant: datetime) -> str:
    """An instant as the carrier writes it."""
    return clock.local(instant).strftime(_TIME_FORMAT)


def time_of(text: Any) -> datetime:
    """A time of the carrier as an aware instant. Raises BadEnvelope."""
    try:
        found = datetime.strptime(str(text)[:19], _TIME_FORMAT).replace(tzinfo=clock.SHANGHAI)
    except ValueError:
        raise BadEnvelope("no time") from None
    # Programs write their first or last day for "none"; such an instant would outrank every real one, or break.
    if not _YEARS[0] <= found.year <= _YEARS[1]:
        raise BadEnvelope("no time")
    return found
