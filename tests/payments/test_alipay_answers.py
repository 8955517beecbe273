"""Answers of Alipay: exactly the signed bytes are checked, and what is not signed concludes nothing."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.gateways.alipay import answers, errors, requests
from payments.gateways.alipay.answers import Proof, Reply
from payments.gateways.alipay.errors import Verdict
from tests.payments import alipay_side as alipay

METHOD = requests.QUERY
NODE = {"code": "10000", "msg": "Success", "out_trade_no": "N1", "trade_status": "TRADE_SUCCESS"}


@pytest.fixture
def read(frozen_clock):
    gateway, _ = alipay.gateway()
    return lambda body: gateway._client.read(body, METHOD)


async def test_a_good_answer(read):
    reply = await read(alipay.answer(METHOD, NODE))
    assert (reply.proof, reply.code, reply.data["trade_status"]) == (Proof.SIGNED, "10000", "TRADE_SUCCESS")


@pytest.mark.parametrize(
    "text",
    [
        '{"code":"10000","note":"}},\\"sign\\":\\"AAAA\\"}{"}',
        '{"code":"10000","url":"https:\\/\\/a.b\\/c"}',
        '{"code":"10000","inner":{"sign":"AAAA","deep":{"open":"{{{"}}}',
        '{ "code" : "10000" ,\n "b":[1,{"c":"]}"}] }',
        '{"code":"10000","subject":"工本费\\u5de5"}',
    ],
)
async def test_hostile_strings_inside_the_node_stay_inside(read, text):
    assert (await read(alipay.answer(METHOD, text))).proof is Proof.SIGNED


async def test_the_signature_may_come_first_and_with_blanks(read):
    text = json.dumps(NODE)
    body = f' {{ "sign" : "{alipay.sign(text.encode())}" ,\n "{alipay.node_name(METHOD)}" : {text} }} '
    assert (await read(body.encode())).proof is Proof.SIGNED


async def test_a_node_written_anew_is_not_what_was_signed(read):
    signed = alipay.sign(json.dumps(NODE).encode())
    other = json.dumps(NODE, separators=(",", ":"))
    assert (await read(alipay.answer(METHOD, other, sign=signed))).proof is Proof.BAD


async def test_an_unsigned_answer_is_read_and_proves_nothing(read):
    reply = await read(alipay.answer(METHOD, {"code": "40004", "sub_code": "ACQ.TRADE_NOT_EXIST"}, signer=None))
    assert (reply.proof, reply.sub_code) == (Proof.UNSIGNED, "ACQ.TRADE_NOT_EXIST")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b"[]",
        b"\xff",
        b'{"a":1}',
        alipay.answer(METHOD, NODE) + b"x",
        alipay.answer(METHOD, NODE)[:-1],
        alipay.answer(METHOD, NODE).replace(b'{"alipay', b'{"sign":"AAAA","alipay', 1),
        alipay.answer(METHOD, '{"code":"10000","code":"40004"}'),
        alipay.answer(METHOD, '{"code":NaN}'),
        alipay.answer(METHOD, NODE, named="alipay_trade_refund_response"),
        alipay.answer(METHOD, NODE).replace(b"{", b'{"error_response":{},', 1),
        alipay.answer(METHOD, '"10000"'),
        alipay.answer(METHOD, NODE, signer="somebody"),
        alipay.answer(METHOD, NODE, signer="app"),
        alipay.answer(METHOD, NODE, sign="!!!!"),
        alipay.answer(METHOD, NODE, sign=alipay.sign(json.dumps(NODE, ensure_ascii=False).encode(), sha1=True)),
        b'{"' + b"[" * 100_000,
        b"\xef\xbb\xbf" + alipay.answer(METHOD, NODE),
    ],
)
async def test_answers_that_prove_nothing(read, body):
    assert (await read(body)).proof is Proof.BAD


async def test_a_sha1_signature_is_no_signature(read):
    text = json.dumps(NODE)
    assert (await read(alipay.answer(METHOD, text, sign=alipay.sign(text.encode(), sha1=True)))).proof is Proof.BAD


async def test_gateway_errors_may_name_their_node_otherwise(read):
    reply = await read(alipay.answer(METHOD, {"code": "40002"}, named="error_response", signer=None))
    assert (reply.proof, reply.code) == (Proof.UNSIGNED, "40002")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5), st.booleans(), st.sampled_from(["", " ", "\n\t "]))
def test_the_scanner_finds_exactly_the_nodes_bytes(node, ascii_only, blank):
    text = json.dumps(node, ensure_ascii=ascii_only)
    try:
        text.encode()
    except UnicodeEncodeError:
        return  # lone surrogates cannot go over a wire
    body = f'{{{blank}"{alipay.node_name(METHOD)}"{blank}:{blank}{text}{blank},"sign":"c2ln"{blank}}}'
    envelope = answers.open_envelope(body.encode(), METHOD)
    assert not isinstance(envelope, str)
    assert envelope.signed == text.encode()


@given(st.binary(max_size=300))
def test_the_scanner_survives_any_bytes(noise):
    answers.open_envelope(noise, METHOD)
    answers.open_envelope(b'{"alipay_trade_query_response":' + noise, METHOD)


def said(code: str, sub_code: str = "", proof: Proof = Proof.SIGNED) -> Reply:
    return Reply(proof=proof, code=code, sub_code=sub_code)


@pytest.mark.parametrize(
    ("code", "sub_code", "order", "refund"),
    [
        ("10000", "", Verdict.DONE, Verdict.DONE),
        ("20000", "isp.unknow-error", Verdict.UNKNOWN, Verdict.UNKNOWN),
        ("40005", "isv.app-call-limited", Verdict.UNKNOWN, Verdict.UNKNOWN),
        ("40004", "ACQ.SYSTEM_ERROR", Verdict.UNKNOWN, Verdict.UNKNOWN),
        ("40004", "AQC.SYSTEM_ERROR", Verdict.UNKNOWN, Verdict.UNKNOWN),
        ("40004", "ACQ.TRADE_HAS_SUCCESS", Verdict.UNKNOWN, Verdict.UNKNOWN),
        ("40004", "ACQ.TRADE_HAS_CLOSE", Verdict.REFUSED, Verdict.UNKNOWN),
        ("40004", "ACQ.CONTEXT_INCONSISTENT", Verdict.REFUSED, Verdict.UNKNOWN),
        ("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH", Verdict.UNKNOWN, Verdict.NOT_ENOUGH),
        ("40004", "ACQ.DISCORDANT_REPEAT_REQUEST", Verdict.UNKNOWN, Verdict.UNKNOWN),
        ("40004", "ACQ.REASON_TRADE_REFUND_FEE_ERR", Verdict.UNKNOWN, Verdict.REFUSED),
        ("40004", "ACQ.TRADE_HAS_FINISHED", Verdict.UNKNOWN, Verdict.REFUSED),
        ("40002", "isv.invalid-app-id", Verdict.REFUSED, Verdict.REFUSED),
        ("99999", "", Verdict.UNKNOWN, Verdict.UNKNOWN),
    ],
)
def test_codes_and_what_they_conclude(code, sub_code, order, refund):
    assert (errors.of_order(said(code, sub_code)), errors.of_refund(said(code, sub_code))) == (order, refund)
    for proof in (Proof.UNSIGNED, Proof.BAD):
        unproven = said(code, sub_code, proof)
        assert {errors.of_order(unproven), errors.of_refund(unproven), errors.of_close(unproven)} == {Verdict.UNKNOWN}


@pytest.mark.parametrize("sub_code", ["ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST", "AQC.TRADE_NOT_EXIST"])
def test_no_such_trade_in_every_spelling(sub_code):
    assert errors.of_query(said("40004", sub_code)) is Verdict.NOT_FOUND
    assert errors.of_query(said("40004", sub_code, Proof.UNSIGNED)) is Verdict.NOT_FOUND
    assert errors.of_close(said("40004", sub_code)) is Verdict.UNKNOWN
