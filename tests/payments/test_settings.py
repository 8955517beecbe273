"""A merchant account that cannot work is refused at start, with everything that is wrong and no secret in the text."""

import pytest
from cryptography.hazmat.primitives import serialization

from kernel.config import ConfigError, load
from payments.settings import WeChatPaySettings
from tests.payments import wechat_side as wechat


@pytest.fixture
def environ(tmp_path):
    key = tmp_path / "apiclient_key.pem"
    key.write_bytes(
        wechat.key("merchant").private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    key.chmod(0o600)
    (tmp_path / "pub.pem").write_bytes(wechat.pem("public"))
    (tmp_path / "apiv3.key").write_text(wechat.APIV3_KEY)
    (tmp_path / "apiv3.key").chmod(0o600)
    return {
        "WECHATPAY_MCHID": wechat.MCHID,
        "WECHATPAY_APPID": wechat.APPID,
        "WECHATPAY_MERCHANT_SERIAL": "0BC0B9D2",
        "WECHATPAY_MERCHANT_KEY_FILE": str(key),
        "WECHATPAY_APIV3_KEY_FILE": str(tmp_path / "apiv3.key"),
        "WECHATPAY_PUBLIC_KEY_ID": wechat.PUBLIC_ID,
        "WECHATPAY_PUBLIC_KEY_FILE": str(tmp_path / "pub.pem"),
        "WECHATPAY_NOTIFY_URL": "https://pay.example.gov.cn/api/v1/callbacks/wechat-pay",
    }


def complaints(environ) -> str:
    with pytest.raises(ConfigError) as refused:
        load(WeChatPaySettings, environ=environ)
    return str(refused.value)


def test_a_good_account(environ):
    (settings,) = load(WeChatPaySettings, environ=environ)
    assert settings.public_key() is not None
    assert settings.production_complaints() == []
    assert wechat.APIV3_KEY not in repr(settings)


def test_a_merchant_with_certificates_only(environ):
    del environ["WECHATPAY_PUBLIC_KEY_ID"], environ["WECHATPAY_PUBLIC_KEY_FILE"]
    (settings,) = load(WeChatPaySettings, environ=environ)
    assert settings.public_key() is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WECHATPAY_NOTIFY_URL", "https://x.gov.cn/a?b=1", "WECHATPAY_NOTIFY_URL"),
        ("WECHATPAY_NOTIFY_URL", "pay.gov.cn", "WECHATPAY_NOTIFY_URL"),
        ("WECHATPAY_PUBLIC_KEY_ID", "123", "PUB_KEY_ID_"),
        ("WECHATPAY_PUBLIC_KEY_ID", "", "要么都填"),
        ("WECHATPAY_MERCHANT_KEY_FILE", "/nowhere", "读不到"),
        ("WECHATPAY_PUBLIC_KEY_FILE", "/nowhere", "读不到"),
    ],
)
def test_what_is_wrong_is_said(environ, name, value, said):
    environ[name] = value
    assert said in complaints(environ)


def test_an_api_key_of_the_wrong_length(environ, tmp_path):
    (tmp_path / "apiv3.key").write_text("short")
    said = complaints(environ)
    assert "32" in said
    assert "short" not in said


def test_everything_wrong_is_said_at_once(environ):
    environ["WECHATPAY_NOTIFY_URL"] = "x"
    environ["WECHATPAY_PUBLIC_KEY_ID"] = "y"
    said = complaints(environ)
    assert "WECHATPAY_NOTIFY_URL" in said
    assert "PUB_KEY_ID_" in said


def test_sandbox_addresses_are_named_for_production(environ):
    environ["WECHATPAY_BASE_URL"] = "http://127.0.0.1:18103"
    environ["WECHATPAY_NOTIFY_URL"] = "http://127.0.0.1:8000/api/v1/callbacks/wechat-pay"
    (settings,) = load(WeChatPaySettings, environ=environ)
    assert len(settings.production_complaints()) == 2
