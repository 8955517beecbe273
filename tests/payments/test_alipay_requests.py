"""Requests of Alipay: the SDK's own signature byte for byte, nothing lost on the way, Beijing time, and which package is there."""

import json
from datetime import UTC, datetime
from importlib import metadata
from urllib.parse import parse_qsl, urlsplit

import pytest
from alipay.aop.api.AlipayClientConfig import AlipayClientConfig
from alipay.aop.api.DefaultAlipayClient import DefaultAlipayClient
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from payments import money
from payments.gateways import rsa_keys
from payments.gateways.alipay import orders, package, requests, signing
from payments.gateways.base import OrderDraft
from tests.payments import alipay_side as alipay


def draft(**changed) -> OrderDraft:
    values = {
        "payment_no": "01JD3K5R9W7YQ2M4N6P8T0V1X3",
        "product": "mini",
        "amount_fen": 1000,
        "currency": "CNY",
        "description": "老年人优待证补办工本费",
        "expires_at": datetime(2026, 11, 19, 2, 30, tzinfo=UTC),
        "payer_id": "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5",
    }
    return OrderDraft(**(values | changed))


def test_the_signature_is_the_sdks_byte_for_byte(frozen_clock):
    content = orders.mini_content(draft(), mini_app_id=alipay.MINI)
    ours = requests.parameters(requests.CREATE, content, alipay.application(), notify_url=alipay.NOTIFY)
    config = AlipayClientConfig()
    config.app_id = alipay.APPID
    config.app_private_key = alipay.private_pem("app", serialization.PrivateFormat.TraditionalOpenSSL).decode()
    request = requests._METHODS[requests.CREATE][0]()
    request.biz_content, request.notify_url = json.loads(content), alipay.NOTIFY
    theirs = dict(parse_qsl(DefaultAlipayClient(config).sdk_execute(request), keep_blank_values=True))
    # The SDK signs with the time of the process: its own signature must verify over its own text, ours over ours.
    again = rsa_keys.sign(alipay.key("app"), signing.request_text(theirs).encode())
    assert theirs.pop("sign") == again
    assert {**theirs, "timestamp": "2026-11-19 10:00:00"} == {n: v for n, v in ours.items() if n != "sign"}


def test_the_time_is_beijings_whatever_the_process_thinks(frozen_clock, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    content = orders.by_number(requests.QUERY, "N1")
    assert requests.parameters(requests.QUERY, content, alipay.application())["timestamp"] == "2026-11-19 10:00:00"


def test_certificate_mode_names_and_signs_both_serials(frozen_clock):
    who = alipay.application(app_cert_sn="aa11", root_cert_sn="bb22_cc33")
    found = requests.parameters(requests.QUERY, orders.by_number(requests.QUERY, "N1"), who)
    assert (found["app_cert_sn"], found["alipay_root_cert_sn"]) == ("aa11", "bb22_cc33")
    raw = rsa_keys.decoded_signature(found["sign"])
    assert rsa_keys.verifies(alipay.key("app").public_key(), signing.request_text(found).encode(), raw)
    assert "app_cert_sn=aa11" in signing.request_text(found)


def test_sign_type_is_in_the_string_of_a_request_and_empty_values_are_not():
    text = signing.request_text({"b": "", "sign": "x", "sign_type": "RSA2", "a": "1&2"})
    assert text == "a=1&2&sign_type=RSA2"


def test_the_content_of_an_order(frozen_clock):
    assert json.loads(orders.mini_content(draft(), mini_app_id=alipay.MINI)) == {
        "out_trade_no": "01JD3K5R9W7YQ2M4N6P8T0V1X3",
        "total_amount": "10.00",
        "subject": "老年人优待证补办工本费",
        "product_code": "JSAPI_PAY",
        "time_expire": "2026-11-19 10:30:00",
        "op_app_id": alipay.MINI,
        "buyer_open_id": "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5",
    }
    wap = json.loads(orders.wap_content(draft(payer_id=""), quit_url="https://zsb.example.gov.cn/bills"))
    assert (wap["product_code"], wap["quit_url"]) == ("QUICK_WAP_WAY", "https://zsb.example.gov.cn/bills")


def test_a_subject_without_the_signs_that_join_fields():
    wap = json.loads(orders.wap_content(draft(description="办证/补证=A&B" + "长" * 300), quit_url=""))
    assert wap["subject"].startswith("办证／补证＝A＆B")
    assert len(wap["subject"]) == 256


@pytest.mark.parametrize("missing", ["out_trade_no", "total_amount", "subject", "time_expire", "buyer_open_id"])
def test_a_required_field_that_is_empty_is_noticed(missing):
    fields = json.loads(orders.mini_content(draft(), mini_app_id=alipay.MINI))
    for lost in ({**fields, missing: ""}, {n: v for n, v in fields.items() if n != missing}):
        with pytest.raises(ValueError, match=missing):
            requests.content(requests.CREATE, lost)


@pytest.mark.parametrize("extra", [{"operator_id": ""}, {"no_such_field": "x"}])
def test_what_the_sdk_would_drop_without_a_word_is_noticed(extra):
    with pytest.raises(ValueError, match="lost"):
        requests.content(requests.CLOSE, {"out_trade_no": "N1", **extra})


def test_content_that_did_not_come_from_here_is_not_sent():
    with pytest.raises(ValueError, match="changed"):
        requests.parameters(requests.QUERY, b'{"out_trade_no": "N1"}', alipay.application())


def test_what_is_sent_twice_has_the_same_content_and_a_fresh_time(frozen_clock):
    content = orders.by_number(requests.QUERY, "N1")
    first = requests.parameters(requests.QUERY, content, alipay.application())
    frozen_clock.advance(seconds=1)
    second = requests.parameters(requests.QUERY, content, alipay.application())
    assert first["biz_content"] == second["biz_content"] == '{"out_trade_no":"N1"}'
    assert (first["timestamp"], first["sign"]) != (second["timestamp"], second["sign"])


def test_the_query_string_holds_what_is_common_and_no_content(frozen_clock):
    found = requests.parameters(requests.QUERY, orders.by_number(requests.QUERY, "N1"), alipay.application())
    query, body = requests.on_the_wire(found)
    assert set(dict(parse_qsl(query))) == {
        "app_id", "method", "format", "charset", "sign_type", "sign", "timestamp", "version",
    }  # fmt: skip
    assert dict(parse_qsl(body.decode())) == {"biz_content": '{"out_trade_no":"N1"}'}


def test_a_page_for_the_browser_carries_every_parameter(frozen_clock):
    content = orders.wap_content(draft(payer_id=""), quit_url="")
    found = requests.parameters(
        requests.WAP_PAY, content, alipay.application(), notify_url=alipay.NOTIFY, return_url="https://x.gov.cn/a?b=1"
    )
    parts = urlsplit(requests.url(alipay.GATEWAY, found))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == alipay.GATEWAY
    assert dict(parse_qsl(parts.query, strict_parsing=True)) == found
    assert requests.url(alipay.GATEWAY, found).isascii()


def test_the_key_is_in_no_repr():
    assert str(alipay.key("app").private_numbers().d) not in repr(alipay.application())
    assert "RSAPrivateKey" not in repr(alipay.application())


def test_the_official_package_alone_owns_the_name():
    assert package.clash() == ""
    assert "python-alipay-sdk" not in {one.name.lower() for one in metadata.distributions()}


@pytest.mark.parametrize("owners", [["python-alipay-sdk"], ["alipay-sdk-python", "python-alipay-sdk"], []])
def test_a_clash_of_packages_is_named(monkeypatch, owners):
    monkeypatch.setattr(metadata, "packages_distributions", lambda: {"alipay": owners})
    assert "requirements.txt" in package.clash()


@given(st.integers(1, 10**9))
def test_fen_to_yuan_and_back(fen):
    text = money.yuan_text(fen)
    assert orders.fen(text) == fen
    assert len(text.rpartition(".")[2]) == 2


@pytest.mark.parametrize("text", ["1.234", "1e3", "0.1.0", " 1.00", "１.00", "", "NaN", 10, 10.0, None, "-"])
def test_amounts_that_are_none(text):
    assert orders.fen(text) is None
