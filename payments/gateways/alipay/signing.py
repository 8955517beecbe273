"""The strings Alipay signs, and reading its forms: no I/O, no clock, no knowledge of orders.

A request keeps `sign_type` in its string and a notice leaves it out; that is how the protocol is.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import unquote_to_bytes

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from payments.gateways import rsa_keys

SIGN_TYPE = "RSA2"
CHARSETS = {"utf-8": "utf-8", "utf8": "utf-8", "gbk": "gb18030"}
_MOST_FIELDS = 200


def request_text(parameters: Mapping[str, str]) -> str:
    """Every non-empty parameter but `sign`, by name, values as they are before URL encoding."""
    return "&".join(f"{name}={value}" for name, value in sorted(parameters.items()) if value and name != "sign")


def notice_texts(fields: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The three strings a notice may be signed over, in the order to try them, each with its name.

    The documentation contradicts itself about empty values, and some kinds of message keep `sign_type`. All three need the same
    key and the same hash, so that none of them is easier to forge.
    """
    kept = {name: value for name, value in fields.items() if name not in ("sign", "sign_type")}
    return (
        ("as received", _joined(kept.items())),
        ("without empty", _joined((name, value) for name, value in kept.items() if value)),
        ("with sign_type", _joined((name, value) for name, value in fields.items() if name != "sign")),
    )


def verified_over(keys: Iterable[RSAPublicKey], fields: Mapping[str, str], *, charset: str) -> str | None:
    """The name of the string the notice's signature holds for, or None."""
    signature = rsa_keys.decoded_signature(fields.get("sign", ""))
    if not signature:
        return None
    known = tuple(keys)
    for name, text in notice_texts(fields):
        if any(rsa_keys.verifies(key, text.encode(charset), signature) for key in known):
            return name
    return None


def read_form(raw: bytes) -> tuple[dict[str, str], str] | None:
    """The fields of a form, decoded once with the charset it names itself, and that charset. None for anything else.

    Blank values stay; a name that comes twice is refused, because two readers could see two messages.
    """
    pairs = [pair.partition(b"=") for pair in raw.split(b"&") if pair]
    if not pairs or len(pairs) > _MOST_FIELDS or not all(equals for _, equals, _ in pairs):
        return None
    found = [(_decoded(name), _decoded(value)) for name, _, value in pairs]
    plain = dict(found)
    charset = CHARSETS.get(plain.get(b"charset", b"utf-8").decode("ascii", "replace").lower())
    if charset is None or len(plain) != len(found):
        return None
    try:
        return {name.decode(charset): value.decode(charset) for name, value in found}, charset
    except UnicodeDecodeError:
        return None


def _decoded(part: bytes) -> bytes:
    return unquote_to_bytes(part.replace(b"+", b" "))


def _joined(pairs: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))
