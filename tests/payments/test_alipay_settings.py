"""An account at Alipay that cannot work is refused at start, with everything that is wrong and no secret in the text."""

import base64

import pytest
from cryptography.hazmat.primitives import serialization

import payments
from kernel.config import ConfigError, load
from payments import runtime
from payments.gateways import rsa_keys
from payments.gateways.alipay import package
from payments.settings import AlipaySettings, PaymentSettings
from tests.payments import alipay_side as alipay


@pytest.fixture
def files(tmp_path, frozen_clock):
    root = alipay.certificate("root", issuer="root", serial=1, authority=True, days=3650)
    contents = {
        "app.pem": alipay.private_pem("app"),
        "alipay.pem": alipay.pem("alipay"),
        "own.pem": alipay.pem("app"),
        "app.crt": alipay.as_pem(alipay.certificate("app", issuer="root", serial=7)),
        "other.crt": alipay.as_pem(alipay.certificate("other", issuer="root", serial=8)),
        "alipay.crt": alipay.as_pem(alipay.certificate("alipay", issuer="root", serial=9)),
        "foreign.crt": alipay.as_pem(alipay.certificate("alipay", issuer="stranger", serial=9)),
        "old.crt": alipay.as_pem(alipay.certificate("app", issuer="root", serial=7, days=-0.5)),
        "root.crt": alipay.as_pem(root),
        "junk.pem": b"junk",
    }
    small = alipay.rsa.generate_private_key(public_exponent=65537, key_size=1024)
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    contents["small.pem"] = small.public_key().public_bytes(serialization.Encoding.PEM, spki)
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    return tmp_path


@pytest.fixture
def key_mode(files):
    return {
        "ALIPAY_APP_ID": alipay.APPID,
        "ALIPAY_SELLER_ID": alipay.SELLER,
        "ALIPAY_APP_KEY_FILE": str(files / "app.pem"),
        "ALIPAY_PUBLIC_KEY_FILE": str(files / "alipay.pem"),
        "ALIPAY_NOTIFY_URL": alipay.NOTIFY,
    }


@pytest.fixture
def certificate_mode(files, key_mode):
    del key_mode["ALIPAY_PUBLIC_KEY_FILE"]
    return key_mode | {
        "ALIPAY_APP_CERT_FILE": str(files / "app.crt"),
        "ALIPAY_PUBLIC_CERT_FILE": str(files / "alipay.crt"),
        "ALIPAY_ROOT_CERT_FILE": str(files / "root.crt"),
    }


def complaints(environ) -> str:
    with pytest.raises(ConfigError) as refused:
        load(AlipaySettings, environ=environ)
    return str(refused.value)


def offered(environ) -> list[str]:
    (settings,) = load(AlipaySettings, environ=environ)
    payments.configure(PaymentSettings(), alipay=settings)
    try:
        return [one.name for one in runtime.offers()]
    finally:
        runtime.use(PaymentSettings(), {})


def test_without_an_account_the_channel_is_not_offered():
    (settings,) = load(AlipaySettings, environ={})
    assert (settings.enabled, settings.production_complaints()) == (False, [])
    assert offered({}) == []


def test_certificate_mode_works(certificate_mode):
    assert offered(certificate_mode) == ["alipay_wap"]


def test_key_mode_works(key_mode):
    assert offered(key_mode) == ["alipay_wap"]


def test_a_mini_program_is_offered_where_there_is_one(key_mode):
    assert offered(key_mode | {"ALIPAY_MINI_APP_ID": alipay.MINI}) == ["alipay_wap", "alipay_mini"]


def test_keys_as_the_channels_own_tool_writes_them(key_mode, files):
    for name, encoded in (
        ("app.pem", alipay.key("app").private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())),
        ("alipay.pem", alipay.key("alipay").public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)),
    ):  # fmt: skip
        (files / name).write_bytes(base64.encodebytes(encoded))
    assert offered(key_mode) == ["alipay_wap"]
    traditional = alipay.private_pem("app", serialization.PrivateFormat.TraditionalOpenSSL)
    assert rsa_keys.load_private_key(traditional).public_key() == alipay.key("app").public_key()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALIPAY_APP_ID", "123", "ALIPAY_APP_ID 必须是 16 位数字"),
        ("ALIPAY_SELLER_ID", "", "ALIPAY_SELLER_ID"),
        ("ALIPAY_SELLER_ID", "2021000000000001", "2088"),
        ("ALIPAY_MINI_APP_ID", "x", "ALIPAY_MINI_APP_ID"),
        ("ALIPAY_APP_KEY_FILE", "", "ALIPAY_APP_KEY_FILE 没有设置"),
        ("ALIPAY_APP_KEY_FILE", "/nowhere", "ALIPAY_APP_KEY_FILE 读不到"),
        ("ALIPAY_APP_KEY_FILE", "junk.pem", "ALIPAY_APP_KEY_FILE 不是"),
        ("ALIPAY_APP_KEY_FILE", "alipay.pem", "ALIPAY_APP_KEY_FILE 不是"),
        ("ALIPAY_PUBLIC_KEY_FILE", "/nowhere", "ALIPAY_PUBLIC_KEY_FILE 读不到"),
        ("ALIPAY_PUBLIC_KEY_FILE", "junk.pem", "ALIPAY_PUBLIC_KEY_FILE 不是"),
        ("ALIPAY_PUBLIC_KEY_FILE", "small.pem", "2048"),
        ("ALIPAY_PUBLIC_KEY_FILE", "own.pem", "应填支付宝公钥"),
        ("ALIPAY_PUBLIC_KEY_FILE", "", "只能用一种"),
        ("ALIPAY_ROOT_CERT_FILE", "root.crt", "只能用一种"),
        ("ALIPAY_NOTIFY_URL", "", "ALIPAY_NOTIFY_URL"),
        ("ALIPAY_NOTIFY_URL", "https://x.gov.cn/a?b=1", "ALIPAY_NOTIFY_URL"),
        ("ALIPAY_BASE_URL", "openapi.alipay.com", "ALIPAY_BASE_URL"),
        ("ALIPAY_RETURN_URL", "bills", "ALIPAY_RETURN_URL"),
        ("ALIPAY_QUIT_URL", "https://x.gov.cn/" + "x" * 400, "ALIPAY_QUIT_URL"),
    ],
)
def test_what_is_wrong_is_said(key_mode, files, name, value, said):
    known = files / value if value.endswith((".pem", ".crt")) else None
    assert said in complaints(key_mode | {name: str(known) if known else value})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ALIPAY_APP_CERT_FILE", "other.crt", "不是一对"),
        ("ALIPAY_APP_CERT_FILE", "old.crt", "有效期"),
        ("ALIPAY_APP_CERT_FILE", "", "ALIPAY_APP_CERT_FILE 没有设置"),
        ("ALIPAY_APP_CERT_FILE", "junk.pem", "没有 PEM 证书"),
        ("ALIPAY_PUBLIC_CERT_FILE", "foreign.crt", "不是由 ALIPAY_ROOT_CERT_FILE 签发"),
        ("ALIPAY_PUBLIC_CERT_FILE", "app.crt", "应填支付宝公钥证书"),
        ("ALIPAY_ROOT_CERT_FILE", "", "ALIPAY_ROOT_CERT_FILE 没有设置"),
        ("ALIPAY_ROOT_CERT_FILE", "/nowhere", "ALIPAY_ROOT_CERT_FILE 读不到"),
    ],
)
def test_what_is_wrong_with_certificates_is_said(certificate_mode, files, name, value, said):
    known = files / value if value.endswith((".pem", ".crt")) else None
    assert said in complaints(certificate_mode | {name: str(known) if known else value})


def test_a_key_file_that_others_may_read(key_mode, files):
    (files / "app.pem").chmod(0o644)
    assert "chmod" in complaints(key_mode)


def test_keys_without_an_account_are_a_slip(key_mode):
    del key_mode["ALIPAY_APP_ID"]
    assert "没有设置 ALIPAY_APP_ID" in complaints(key_mode)


def test_everything_wrong_is_said_at_once_and_once(key_mode):
    said = complaints(key_mode | {"ALIPAY_SELLER_ID": "1", "ALIPAY_NOTIFY_URL": "x", "ALIPAY_APP_KEY_FILE": "/nowhere"})
    for name in ("ALIPAY_SELLER_ID", "ALIPAY_NOTIFY_URL"):
        assert name in said
    assert said.count("ALIPAY_APP_KEY_FILE 读不到") == 1


def test_a_clash_of_packages_refuses_to_start(key_mode, monkeypatch):
    monkeypatch.setattr(package.metadata, "packages_distributions", lambda: {"alipay": ["python-alipay-sdk"]})
    assert "alipay-sdk-python" in complaints(key_mode)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALIPAY_BASE_URL", "http://127.0.0.1:18106/gateway.do"),
        ("ALIPAY_BASE_URL", "https://openapi-sandbox.dl.alipaydev.com/gateway.do"),
        ("ALIPAY_NOTIFY_URL", "http://127.0.0.1:8000/api/v1/callbacks/alipay"),
        ("ALIPAY_RETURN_URL", "http://x.gov.cn/"),
    ],
)
def test_sandbox_addresses_are_named_for_production(key_mode, name, value):
    (sound,) = load(AlipaySettings, environ=key_mode)
    assert sound.production_complaints() == []
    (settings,) = load(AlipaySettings, environ=key_mode | {name: value})
    assert [text.split(" ")[0] for text in settings.production_complaints()] == [name]
