"""deploy/environment.example, filled in as docs/deployment.md says, is a configuration that production accepts."""

import base64
import re
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from backend import wiring
from backend.settings import WorkerSettings
from kernel import config
from kernel.config import ConfigError
from kernel.logs import LogSettings
from kernel.metrics import MetricsSettings
from miniprogram_api.settings import HttpSettings
from tests.docs.pages import ROOT

EXAMPLE = (ROOT / "deploy" / "environment.example").read_text(encoding="utf-8")
FOLDER = "/etc/zhangshangban/"


def random_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The folder of secrets as an operator makes it."""
    folder = tmp_path_factory.mktemp("etc")
    (folder / "secrets").mkdir()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    texts = {
        "database_url": "postgres://zsb:secret@127.0.0.1:5432/zhangshangban",
        "field_keys": f"k1:{random_key()}",
        "ems_authorization": base64.b64encode(secrets.token_bytes(16)).decode(),
        "wechatpay_apiv3_key": secrets.token_hex(16),
        "apiclient_key.pem": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "wechatpay_pub_key.pem": key.public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    }
    for name in re.findall(rf"{FOLDER}secrets/([\w.]+)", EXAMPLE):
        path = folder / "secrets" / name
        path.write_text(texts.get(name, random_key()), encoding="utf-8")
        path.chmod(0o600)
    return folder


@pytest.fixture
def environment(files):
    lines = re.findall(r"^([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE, re.MULTILINE)
    return {name: value.replace(FOLDER, f"{files}/") for name, value in lines}


def test_production_accepts_it(environment):
    values = wiring.load_settings(environment)
    assert len(values) == len(wiring.SETTINGS)
    config.load(HttpSettings, WorkerSettings, LogSettings, MetricsSettings, environ=environment)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("WECHATPAY_NOTIFY_URL", "http://zsb.example.gov.cn/api/v1/callbacks/wechat-pay", "https"),
        ("PAPERS_PUBLIC_URL", "http://zsb.example.gov.cn", "https"),
        ("PAPERS_PUBLIC_URL", "", "PAPERS_PUBLIC_URL"),
        ("ONEWINDOW_BASE_URL", "http://127.0.0.1:18104", "沙箱"),
        ("DEPLOYMENT", "live", "DEPLOYMENT"),
    ],
)
def test_production_refuses_what_must_not_be(environment, name, value, complaint):
    with pytest.raises(ConfigError, match=complaint):
        wiring.load_settings({**environment, name: value})


def test_every_line_is_needed_or_may_be_left_out_with_a_reason(environment):
    """Without all its required lines at once, every one of them is complained about."""
    with pytest.raises(ConfigError) as refused:
        wiring.load_settings({})
    told = "\n".join(refused.value.complaints)
    for name in environment:
        setting = name.removesuffix("_FILE")
        if name in ("DEPLOYMENT", "WECHATPAY_PUBLIC_KEY_ID", "WECHATPAY_PUBLIC_KEY_FILE", "PAPERS_PUBLIC_URL"):
            continue  # these have a default
        assert setting in told or name in told, name
