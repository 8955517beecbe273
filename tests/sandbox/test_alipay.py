"""The Alipay partner on the wire: who may call, what is signed, and the life of a trade."""

import base64
import json
import time
from urllib.parse import urlencode

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.sandbox.alipay_caller import APP_ID, NUMBER, Merchant, bank, fetch, order

QUERY = "alipay.trade.query"


@pytest.fixture
async def merchant(tmp_path):
    async with bank(tmp_path) as partner:
        yield Merchant(partner)


# -- who may call ----------------------------------------------------------------------------------------------------


async def test_a_signed_call_is_answered_with_a_signed_node(merchant):
    got = await merchant.create()
    assert (got.status, got.headers["content-type"]) == (200, "text/html;charset=utf-8")
    assert list(got.json) == ["alipay_trade_create_response", "sign"]
    assert (got.node["code"], got.node["out_trade_no"]) == ("10000", NUMBER)
    assert merchant.verifies(got)


@pytest.mark.parametrize("query", [(), ("app_id", "method", "sign", "charset"), ("biz_content",)])
async def test_parameters_may_come_in_the_address_the_body_or_both(merchant, query):
    got = await merchant.send(merchant.params("alipay.trade.create", order()), query=query)
    assert got.node["code"] == "10000"
    got = await merchant.send(merchant.params(QUERY, {"out_trade_no": NUMBER}), http="GET")
    assert got.node["trade_status"] == "WAIT_BUYER_PAY"


async def test_empty_parameters_are_not_part_of_the_string(merchant):
    await merchant.create()
    assert (await merchant.call(QUERY, {"out_trade_no": NUMBER}, app_auth_token="")).node["code"] == "10000"


@pytest.mark.parametrize(
    ("change", "code", "sub_code"),
    [
        ({"app_id": ...}, "40001", "isv.missing-app-id"),
        ({"app_id": "2021000000000099"}, "40002", "isv.invalid-app-id"),
        ({"app_id": "2021000000000099", "sign_type": "RSA"}, "40002", "isv.invalid-app-id"),
        ({"algorithm": hashes.SHA1()}, "40002", "isv.invalid-signature"),
        ({"algorithm": hashes.SHA1(), "sign_type": "RSA"}, "40002", "isv.invalid-signature"),
        ({"sign_type": "RSA"}, "40002", "isv.invalid-signature-type"),
        ({"sign_type": ...}, "40001", "isv.missing-signature-type"),
        ({"app_cert_sn": "0" * 32}, "40001", "isv.missing-alipay-root-cert-sn"),
        ({"alipay_root_cert_sn": "0" * 32}, "40001", "isv.missing-app-cert-sn"),
        ({"app_cert_sn": "0" * 32, "alipay_root_cert_sn": "0" * 32}, "40002", "isv.app-cert-not-exist"),
        ({"method": ...}, "40001", "isv.missing-method"),
        ({"method": "alipay.trade.unknown"}, "40002", "isv.invalid-method"),
        ({"version": "2.0"}, "40002", "isv.invalid-version"),
        ({"version": ...}, "40001", "isv.missing-version"),
        ({"format": "XML"}, "40002", "isv.invalid-format"),
        ({"charset": "latin-1"}, "40002", "isv.invalid-charset"),
        ({"timestamp": ...}, "40001", "isv.missing-timestamp"),
        ({"timestamp": "2026-01-01T00:00:00"}, "40002", "isv.invalid-timestamp"),
        ({"biz_content": ...}, "40001", "isv.missing-parameter"),
        ({"biz_content": "{"}, "40002", "isv.invalid-parameter"),
        ({"biz_content": '{"out_trade_no":"a","out_trade_no":"b"}'}, "40002", "isv.invalid-parameter"),
    ],
)
async def test_a_wrong_caller_is_refused_without_a_signature(merchant, change, code, sub_code):
    got = await merchant.call(QUERY, {"out_trade_no": NUMBER}, **change)
    assert (got.status, got.node["code"], got.sub_code) == (200, code, sub_code)
    assert list(got.json) == ["error_response"]


async def test_the_hour_of_greenwich_is_eight_hours_old(merchant):
    utc = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    assert (await merchant.call(QUERY, {"out_trade_no": NUMBER}, timestamp=utc)).sub_code == "isv.invalid-timestamp"


@pytest.mark.parametrize("spoil", ["biz_content", "sign", "missing"])
async def test_what_was_changed_after_signing_is_refused(merchant, spoil):
    params = merchant.params(QUERY, {"out_trade_no": NUMBER})
    if spoil == "missing":
        del params["sign"]
    else:
        params[spoil] = params[spoil].replace("0", "1") + "A"
    expected = "isv.missing-signature" if spoil == "missing" else "isv.invalid-signature"
    assert (await merchant.send(params)).sub_code == expected


async def test_a_parameter_that_comes_twice_is_refused(merchant):
    params = merchant.params(QUERY, {"out_trade_no": NUMBER})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode([*params.items(), ("method", "alipay.trade.close")])
    got = await fetch("POST", f"{merchant.partner.url}/gateway.do", body, form)
    assert (got.sub_code, got.node["sub_msg"]) == ("isv.invalid-parameter", "参数重复：method")


async def test_bytes_that_are_not_of_the_charset_are_refused(merchant):
    got = await fetch("GET", f"{merchant.partner.url}/gateway.do?app_id={APP_ID}&charset=utf-8&subject=%B7%D1")
    assert got.sub_code == "isv.invalid-encoding"


async def test_values_with_the_partner_s_own_key_names_look_like_an_attack(merchant):
    got = await merchant.create(subject="body")
    assert (got.node["code"], got.sub_code, got.is_signed) == ("40002", "isv.suspected-attack", False)


async def test_gbk_is_spoken_with_whoever_asks_for_it(merchant):
    got = await merchant.call("alipay.trade.create", order(), charset="gbk")
    assert got.headers["content-type"] == "text/html;charset=GBK"
    assert got.node["code"] == "10000"
    shown = (await merchant.control("GET", f"/orders/{NUMBER}")).json
    assert shown["request"]["subject"] == order()["subject"]
    refusal = await merchant.call(QUERY, {"out_trade_no": "none"}, charset="gbk")
    assert json.loads(refusal.body.decode("gbk"))["alipay_trade_query_response"]["sub_msg"] == "交易不存在"


async def test_unknown_addresses_and_verbs_are_no_gateway(merchant):
    assert (await fetch("GET", f"{merchant.partner.url}/v3/alipay/trade/query")).status == 404
    assert (await fetch("PUT", f"{merchant.partner.url}/gateway.do")).status == 405


# -- certificate mode ------------------------------------------------------------------------------------------------


async def test_certificate_mode_names_the_certificate_between_node_and_sign(merchant):
    secured = Merchant(merchant.partner, certificates=True)
    got = await secured.create()
    assert list(got.json) == ["alipay_trade_create_response", "alipay_cert_sn", "sign"]
    plat = x509.load_pem_x509_certificates((merchant.folder / "ali_plat.crt").read_bytes())[0]
    assert got.json["alipay_cert_sn"] == secured.sn(plat)
    assert secured.verifies(got)
    refusal = await secured.query("unknown")
    assert list(refusal.json) == ["alipay_trade_query_response", "alipay_cert_sn", "sign"]


async def test_the_certificates_are_demanded_or_ignored_as_configured(merchant):
    secured = Merchant(merchant.partner, certificates=True)
    await merchant.config(key_mode="cert")
    assert (await merchant.query()).sub_code == "isv.missing-app-cert-sn"
    assert (await secured.query()).sub_code == "ACQ.TRADE_NOT_EXIST"
    assert "ALIPAY_ROOT_CERT_FILE" in merchant.partner.environment()
    await merchant.config(key_mode="key")
    assert "alipay_cert_sn" not in (await secured.query()).json


async def test_an_expired_certificate_is_told_before_the_clock(merchant):
    secured = Merchant(merchant.partner, certificates=True)
    await merchant.control("POST", "/clock", {"offset_s": 6 * 365 * 86400})
    assert (await secured.query()).sub_code == "isv.app-cert-expired"


async def test_the_root_file_mixes_algorithms_and_only_rsa_counts(merchant):
    roots = x509.load_pem_x509_certificates((merchant.folder / "ali_root.crt").read_bytes())
    algorithms = [c.signature_algorithm_oid.dotted_string for c in roots]
    assert algorithms == [
        "1.2.156.10197.1.501",
        "1.2.840.113549.1.1.11",
        "1.2.840.10045.4.3.2",
        "1.2.840.113549.1.1.13",
    ]
    assert merchant.serials()["alipay_root_cert_sn"].count("_") == 1
    secured = Merchant(merchant.partner, certificates=True)
    everything = "_".join(secured.sn(c) for c in roots)
    got = await secured.call(QUERY, {"out_trade_no": NUMBER}, alipay_root_cert_sn=everything)
    assert got.sub_code == "isv.invalid-alipay-root-cert-sn"


async def test_the_certificates_form_a_chain_to_the_root(merchant):
    roots = x509.load_pem_x509_certificates((merchant.folder / "ali_root.crt").read_bytes())
    for stem in ("ali_app", "ali_plat"):
        leaf, above = x509.load_pem_x509_certificates((merchant.folder / f"{stem}.crt").read_bytes())
        leaf.verify_directly_issued_by(above)
        above.verify_directly_issued_by(roots[1])
        assert leaf.public_key() == merchant.private(stem).public_key() == merchant.private(stem, "p1").public_key()
        assert {a.rfc4514_attribute_name for a in leaf.issuer} == {"C", "O", "OU", "CN"}


async def test_a_rotated_certificate_comes_from_the_same_root(merchant):
    secured = Merchant(merchant.partner, certificates=True)
    before = (await secured.create()).json["alipay_cert_sn"]
    rotated = (await merchant.control("POST", "/keys/rotate", {"what": "alipay_certificate"})).json
    got = await secured.query()
    assert got.json["alipay_cert_sn"] == rotated["sn"] != before
    assert secured.verifies(got)
    assert not secured.verifies(got, stem="ali_plat_old")
    await merchant.control("POST", "/keys/rotate", {"what": "app_certificate", "keep_old": False})
    assert (await secured.query()).sub_code == "isv.invalid-signature"  # the old private key is worthless now
    assert (await Merchant(merchant.partner, certificates=True).query()).node["code"] == "10000"
    assert not (merchant.folder / "ali_app_old.p8.pem").exists()
    assert (await merchant.control("POST", "/keys/rotate", {"what": "root"})).status == 400


async def test_a_certificate_can_be_fetched_by_its_serial(merchant):
    secured = Merchant(merchant.partner, certificates=True)
    before = (await secured.query()).json["alipay_cert_sn"]
    after = (await merchant.control("POST", "/keys/rotate", {"what": "alipay_certificate"})).json["sn"]
    for sn, stem in ((after, "ali_plat"), (before, "ali_plat_old")):
        got = await secured.call("alipay.open.app.alipaycert.download", {"alipay_cert_sn": sn})
        assert secured.verifies(got)
        pem = base64.b64decode(got.node["alipay_cert_content"], validate=True)
        assert pem == (merchant.folder / f"{stem}.crt").read_bytes()
        assert secured.sn(x509.load_pem_x509_certificates(pem)[0]) == sn
    unknown = await secured.call("alipay.open.app.alipaycert.download", {"alipay_cert_sn": "0" * 32})
    assert (unknown.node["code"], unknown.sub_code) == ("40002", "isv.alipay-cert-not-exist")
    assert (await secured.call("alipay.open.app.alipaycert.download", {})).sub_code == "ACQ.INVALID_PARAMETER"


def test_key_files_are_made_once_and_are_the_owner_s(merchant):
    names = {"ali_app", "ali_plat"}
    expected = {f"{n}.{s}" for n in names for s in ("p8.pem", "p1.pem", "pub.pem", "crt")} | {"ali_root.crt"}
    found = {path.name: path for path in merchant.folder.iterdir()}
    assert expected <= set(found)
    assert {found[name].stat().st_mode & 0o777 for name in expected} == {0o600}
    assert b"BEGIN PRIVATE KEY" in found["ali_app.p8.pem"].read_bytes()
    assert b"BEGIN RSA PRIVATE KEY" in found["ali_app.p1.pem"].read_bytes()


# -- the log ---------------------------------------------------------------------------------------------------------


async def test_the_log_names_the_method_the_verdict_and_the_number(merchant):
    await merchant.create()
    await merchant.query(unheard_of="1")
    await merchant.call(QUERY, {"out_trade_no": NUMBER}, app_id="1")
    lines = (await merchant.control("GET", "/requests")).json["requests"]
    assert [(line["call"], line["verdict"], line["number"]) for line in lines] == [
        ("alipay.trade.create", "ok", NUMBER),
        (QUERY, "ok", NUMBER),
        (QUERY, "isv.invalid-app-id", None),
    ]
    assert lines[1]["refused"] == "ACQ.INVALID_PARAMETER"
