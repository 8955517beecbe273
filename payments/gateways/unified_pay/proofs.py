"""What vouches for a message: a keyed hash over the bytes exactly as sent. No signature, so nothing here is non-repudiable."""

import hashlib
import hmac

from payments.gateways.unified_pay.profile import Proof


def make(kind: Proof, secret: str, body: bytes) -> str:
    """The proof of a message of ours."""
    digest = _digest(kind, secret, body)
    return digest.upper() if kind.letters == "upper" else digest


def holds(kind: Proof, secret: str, body: bytes, claimed: str) -> bool:
    """Whether a received proof holds; the case of its letters does not matter, and the comparison takes constant time."""
    return hmac.compare_digest(_digest(kind, secret, body), claimed.lower())


def _digest(kind: Proof, secret: str, body: bytes) -> str:
    if kind.kind == "hmac-sha256":
        return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hashlib.sha256(secret.encode() + body).hexdigest()
