"""Certificate mode: serial numbers, the root file with mixed algorithms, unknown certificates, and one fetch per minute."""

import base64
import hashlib

import pytest

from payments.gateways.alipay import certificates, requests
from payments.gateways.alipay.answers import Proof
from payments.gateways.alipay.keys import KeyTable
from payments.gateways.rsa_keys import UnusableKey
from tests.payments import alipay_side as alipay

DN = "CN={},OU=Certification Authority,O=Ant Financial,C=CN"


def sn_of(issuer: str, serial: int) -> str:
    return hashlib.md5(f"{DN.format(issuer)}{serial}".encode(), usedforsecurity=False).hexdigest()


@pytest.fixture
def house(frozen_clock):
    """A root, one below it, Alipay's certificate, and a root file that also holds an elliptic one."""
    root = alipay.certificate("root", issuer="root", serial=1, authority=True, days=3650)
    middle = alipay.certificate("middle", issuer="root", serial=2, authority=True, days=3650)
    leaf = alipay.certificate("alipay", issuer="middle", serial=2**70 + 5)
    curve = alipay.certificate("sm2", issuer="sm2", serial=4, authority=True, elliptic=True)
    return {"root": root, "middle": middle, "leaf": leaf, "file": alipay.as_pem(curve, root, middle)}


def table(house, **more) -> KeyTable:
    values = {
        "channel": "alipay", "public_key": None, "chain": [house["leaf"], house["middle"]], "roots": [house["root"]],
        "store": alipay.Store(), "news": alipay.News(),
    }  # fmt: skip
    return KeyTable(**(values | more))


def test_serial_numbers(house):
    assert certificates.sn(house["leaf"]) == sn_of("middle", 2**70 + 5)
    found = certificates.load_chain(house["file"])
    assert len(found) == 3
    assert certificates.root_sn(found) == f"{sn_of('root', 1)}_{sn_of('root', 2)}"


def test_a_root_file_without_rsa(house):
    with pytest.raises(UnusableKey, match="RSA"):
        certificates.root_sn([alipay.certificate("sm2", issuer="sm2", serial=4, elliptic=True)])
    for junk in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"):
        with pytest.raises(UnusableKey):
            certificates.load_chain(junk)


def test_a_chain_to_the_root(house, frozen_clock):
    now = frozen_clock.now()
    under = {"between": [house["middle"]], "roots": [house["root"]], "now": now}
    assert certificates.is_issued_under(house["leaf"], **under)
    assert not certificates.is_issued_under(house["leaf"], **{**under, "between": []})
    stranger = alipay.certificate("stranger", issuer="stranger", serial=1, authority=True)
    assert not certificates.is_issued_under(house["leaf"], **{**under, "roots": [stranger]})
    no_authority = alipay.certificate("middle", issuer="root", serial=2)
    assert not certificates.is_issued_under(house["leaf"], **{**under, "between": [no_authority]})
    frozen_clock.advance(days=40)
    assert not certificates.is_issued_under(house["leaf"], **{**under, "now": frozen_clock.now()})


async def test_an_answer_names_the_certificate_that_signed_it(house):
    gateway, _ = alipay.gateway(table(house))
    sn = certificates.sn(house["leaf"])
    node = {"code": "10000"}

    async def proof(**how):
        return (await gateway._client.read(alipay.answer(requests.QUERY, node, **how), requests.QUERY)).proof

    assert await proof(sn=sn) is Proof.SIGNED
    assert await proof(sn=sn.upper()) is Proof.SIGNED
    assert await proof() is Proof.BAD  # never "the only certificate we have"
    assert await proof(sn="00" * 16) is Proof.BAD
    assert await proof(sn=sn, signer="somebody") is Proof.BAD


async def test_an_expired_certificate_proves_nothing(house, frozen_clock):
    gateway, _ = alipay.gateway(table(house))
    frozen_clock.advance(days=31)
    body = alipay.answer(requests.QUERY, {"code": "10000"}, sn=certificates.sn(house["leaf"]))
    assert (await gateway._client.read(body, requests.QUERY)).proof is Proof.BAD


async def test_a_thousand_unknown_certificates_cause_one_read_and_one_fetch(house, frozen_clock):
    store, news = alipay.Store(), alipay.News()
    keys = table(house, store=store, news=news)
    for n in range(1000):
        assert await keys.look(f"{n:032x}") is None
    assert (store.loads, len(news.told)) == (1, 1)
    frozen_clock.advance(seconds=61)
    await keys.look("ff" * 16)
    assert (store.loads, news.told[1:]) == (2, ["ff" * 16])


async def test_a_new_certificate_is_fetched_proven_by_its_chain_and_shared(house, frozen_clock):
    fresh = alipay.certificate("fresh", issuer="middle", serial=77)
    sn, store = certificates.sn(fresh), alipay.Store()
    gateway, wire = alipay.gateway(table(house, store=store), app_cert_sn="aa", root_cert_sn="bb")
    packed = base64.b64encode(alipay.as_pem(fresh, house["middle"])).decode()
    wire.answers.append(
        alipay.answer(requests.CERTIFICATE, {"code": "10000", "alipay_cert_content": packed}, sn=sn, signer="fresh")
    )
    await gateway.refresh_keys(sn)
    assert wire.sent[0]["biz_content"] == f'{{"alipay_cert_sn":"{sn}"}}'
    body = alipay.answer(requests.QUERY, {"code": "10000"}, sn=sn, signer="fresh")
    assert (await gateway._client.read(body, requests.QUERY)).proof is Proof.SIGNED
    other = table(house, store=store)  # another process
    assert await other.look(sn) is not None
    assert len(await other.for_notices()) == 2


@pytest.mark.parametrize("issuer", ["stranger", "alipay"])
async def test_a_certificate_that_is_not_under_the_root_is_not_taken(house, issuer):
    fresh = alipay.certificate("fresh", issuer=issuer, serial=77)
    store = alipay.Store()
    gateway, wire = alipay.gateway(table(house, store=store))
    packed = base64.b64encode(alipay.as_pem(fresh)).decode()
    wire.answers.append(alipay.answer(requests.CERTIFICATE, {"code": "10000", "alipay_cert_content": packed}))
    await gateway.refresh_keys(certificates.sn(fresh))
    assert store.rows == []


@pytest.mark.parametrize("content", ["!!!", base64.b64encode(b"junk").decode(), None, 5])
async def test_an_answer_without_a_certificate_keeps_what_we_have(house, content):
    gateway, wire = alipay.gateway(table(house))
    wire.answers.append(alipay.answer(requests.CERTIFICATE, {"code": "10000", "alipay_cert_content": content}))
    await gateway.refresh_keys("ab" * 16)
    assert gateway._client.keys.find(certificates.sn(house["leaf"])) is not None


async def test_in_key_mode_nothing_is_fetched(frozen_clock):
    gateway, wire = alipay.gateway()
    await gateway.refresh_keys("ab" * 16)
    await gateway.refresh_keys()
    assert wire.sent == []
