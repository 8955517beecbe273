"""Reads the answer of /v3/certificates: opened with the APIv3 key, then proven by the certificates it carries."""

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from kernel.http import Answer
from payments.gateways import rsa_keys
from payments.gateways.base import Certificate
from payments.gateways.wechat_pay import keys, signing
from payments.gateways.wechat_pay.client import Merchant, check_signature, parse_object


class _Carried:
    """Looks among the certificates of this answer first: a rotation may sign with one we have never seen."""

    def __init__(self, certificates: list[Certificate], known: keys.KeyTable) -> None:
        self._known = known
        self._keys = {certificate.serial: keys.public_key_of(certificate) for certificate in certificates}

    async def look(self, serial: str) -> RSAPublicKey | None:
        """The key of this serial if the answer carries it, or if it is the public key or certificate we already trust."""
        return self._keys.get(signing.normal_serial(serial)) or self._known.find(serial)


async def read(answer: Answer, merchant: Merchant, known: keys.KeyTable) -> list[Certificate] | str:
    """The certificates, or why there are none to take."""
    data = parse_object(answer.body)
    if data is None:
        return "unparsable"
    if answer.status != 200:
        code = data.get("code")
        return code[:64] if isinstance(code, str) else "no certificates"
    rows = data.get("data")
    if not isinstance(rows, list) or not rows:
        return "empty list"
    found: list[Certificate] = []
    for row in rows:
        certificate = _open(row, merchant)
        if certificate is None:
            return "a certificate does not open"
        found.append(certificate)
    headers = answer.headers
    why = await check_signature(
        _Carried(found, known),
        headers.get("Wechatpay-Timestamp", ""),
        headers.get("Wechatpay-Nonce", ""),
        headers.get("Wechatpay-Signature", ""),
        headers.get("Wechatpay-Serial", ""),
        body=answer.body,
        kind=headers.get("Wechatpay-Signature-Type"),
    )
    return f"answer not proven: {why}" if why else found


def _open(row: Any, merchant: Merchant) -> Certificate | None:
    if not isinstance(row, dict):
        return None
    # The documentation's own example has key names with a trailing space.
    plain_row = {str(name).strip(): value for name, value in row.items()}
    sealed = plain_row.get("encrypt_certificate")
    if not isinstance(sealed, dict):
        return None
    fields: Mapping[str, Any] = {str(name).strip(): value for name, value in sealed.items()}
    nonce, ciphertext = fields.get("nonce"), fields.get("ciphertext")
    associated = fields.get("associated_data")
    if fields.get("algorithm") != "AEAD_AES_256_GCM" or not isinstance(nonce, str) or not isinstance(ciphertext, str):
        return None
    pem = signing.open_sealed(
        merchant.api_v3_key,
        nonce=nonce,
        associated_data=associated if isinstance(associated, str) else "",
        ciphertext=ciphertext,
    )
    if pem is None:
        return None
    try:
        return keys.parse_certificate(pem)
    except (rsa_keys.UnusableKey, UnicodeDecodeError):
        return None
