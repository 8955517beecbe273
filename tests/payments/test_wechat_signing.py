"""The signatures of APIv3 over exact bytes, with openssl as a second opinion."""

import base64
import subprocess

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from payments.gateways import rsa_keys
from payments.gateways.wechat_pay import signing
from tests.payments import wechat_side as wechat


def test_base_strings_line_by_line():
    assert signing.request_message("GET", "/v3/certificates?a=1", 1554208460, "593BEC0C", b"") == (
        b"GET\n/v3/certificates?a=1\n1554208460\n593BEC0C\n\n"
    )
    assert signing.request_message("POST", "/v3/x", 1, "n", b'{"a":1}') == b'POST\n/v3/x\n1\nn\n{"a":1}\n'
    assert signing.answer_message("1", "n", b"") == b"1\nn\n\n"
    assert signing.client_message("wx1", "1", "n", "prepay_id=p") == b"wx1\n1\nn\nprepay_id=p\n"


@given(st.binary(max_size=200))
def test_what_is_signed_verifies_and_one_changed_byte_does_not(body):
    message = signing.answer_message("1", "n", body)
    raw = rsa_keys.decoded_signature(rsa_keys.sign(wechat.key("public"), message))
    public = wechat.key("public").public_key()
    assert rsa_keys.verifies(public, message, raw)
    assert not rsa_keys.verifies(public, message + b" ", raw)
    assert not rsa_keys.verifies(wechat.key("other").public_key(), message, raw)


def test_openssl_agrees(tmp_path):
    message = signing.request_message("GET", "/v3/certificates", 1554208460, "nonce", b"")
    (tmp_path / "key.pem").write_bytes(
        wechat.key("merchant").private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    (tmp_path / "pub.pem").write_bytes(wechat.pem("merchant"))
    ours = rsa_keys.sign(rsa_keys.load_private_key((tmp_path / "key.pem").read_bytes()), message)
    theirs = subprocess.run(
        ["openssl", "dgst", "-sha256", "-sign", tmp_path / "key.pem"], input=message, capture_output=True, check=True
    ).stdout
    assert base64.b64decode(ours) == theirs
    assert rsa_keys.verifies(rsa_keys.load_public_key((tmp_path / "pub.pem").read_bytes()), message, theirs)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("BC0B9D2", "0BC0B9D2"),
        ("0bc0b9d2", "0BC0B9D2"),
        ("000BC0B9D2", "0BC0B9D2"),
        ("5157F09EFDC096DE15EBE81A47057A7232F1B8E1", "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"),
        ("PUB_KEY_ID_0119", "PUB_KEY_ID_0119"),
        ("nonsense!", "nonsense!"),
        ("", ""),
    ],
)
def test_a_serial_is_a_byte_string_and_not_always_hexadecimal(text, normal):
    assert signing.normal_serial(text) == normal


@pytest.mark.parametrize("text", ["WECHATPAY/SIGNTEST/xy", "aaab=", "aab=", "a", "a=b=", "aaa\n", "ä", "aaaa====", ""])
def test_base64_is_decoded_strictly(text):
    assert rsa_keys.decoded_signature(text) in (None, b"")


@pytest.mark.parametrize("text", ["", "-1", "1.5", " 1", "१", "1" * 13, "0x1", "1e9"])
def test_a_timestamp_is_plain_digits(text):
    assert signing.plain_timestamp(text) is None


def test_opening_needs_the_right_key_nonce_and_associated_data():
    sealed = wechat.seal(b"secret", associated="transaction")
    fields = {"nonce": sealed["nonce"], "associated_data": "transaction", "ciphertext": sealed["ciphertext"]}
    assert signing.open_sealed(wechat.APIV3_KEY.encode(), **fields) == b"secret"
    for change in (
        {"nonce": "fdasflkja485"},
        {"nonce": "short"},
        {"associated_data": ""},
        {"ciphertext": "AAAA"},
        {"ciphertext": "!"},
    ):
        assert signing.open_sealed(wechat.APIV3_KEY.encode(), **(fields | change)) is None
    assert signing.open_sealed(b"x" * 32, **fields) is None


def test_keys_that_cannot_be_used_are_refused():
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    curve = ec.generate_private_key(ec.SECP256R1())
    for one in (weak, curve):
        private = one.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = one.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        with pytest.raises(rsa_keys.UnusableKey):
            rsa_keys.load_private_key(private)
        with pytest.raises(rsa_keys.UnusableKey):
            rsa_keys.load_public_key(public)
    for junk in (b"", b"-----BEGIN PRIVATE KEY-----\n"):
        with pytest.raises(rsa_keys.UnusableKey):
            rsa_keys.load_private_key(junk)
        with pytest.raises(rsa_keys.UnusableKey):
            rsa_keys.load_public_key(junk)
