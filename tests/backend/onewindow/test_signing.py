"""Signatures and digests in both directions: the published vectors, and that nothing can be changed unnoticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.onewindow import signing
from backend.onewindow.signing import Untrusted

NOW = 1_700_000_000_000
WHO = {"rid": "rid-001", "secret": "appsecret-demo"}
BODY = b'{"areaCode":"620981000000","taskCode":"demo-task-1"}'


def test_the_published_vectors() -> None:
    parts = {"secret": "appsecret-demo", "sid": "sid-001", "rid": "rid-001", "rtime": str(NOW), "nonce": "nonce-1"}
    assert signing.digest(BODY) == "9c8722b2e920bbca378b815812bd310c472097c05d2f93942489bf4b5846b8ce"
    ref = signing.signature(profile="ref", body_digest=signing.digest(BODY), **parts)
    national = signing.signature(profile="gjzwfwpt", body_digest="", **parts)
    assert ref == "qr2ZNTMMh2BDFnuQfe62W2b5V2iuOz1GZKq5gKZUdo4="
    assert national == "wcw32oJ1BfxPy2Ixwtva2ua40ytMNHM97FgC5ursU6E="


def headers() -> dict[str, str]:
    return signing.signed_headers(profile="ref", **WHO, verb="event.push", body=BODY, now_ms=NOW)


def check(given: dict[str, str], body: bytes = BODY, now_ms: int = NOW, verb: str = "event.push") -> signing.Trusted:
    return signing.verify(profile="ref", **WHO, verb=verb, headers=given, body=body, now_ms=now_ms)


def test_two_attempts_have_two_nonces_and_both_are_good() -> None:
    first, second = headers(), headers()
    assert first["x-ycsl-nonce"] != second["x-ycsl-nonce"]
    assert check(first).digest == check(second).digest == signing.digest(BODY)


def test_five_minutes_either_way_and_not_a_millisecond_more() -> None:
    for shift in (-300_000, 300_000):
        check(headers(), now_ms=NOW + shift)
    for shift in (-300_001, 300_001):
        with pytest.raises(Untrusted, match="rtime"):
            check(headers(), now_ms=NOW + shift)


def test_a_signature_for_one_verb_opens_no_other() -> None:
    with pytest.raises(Untrusted, match="sid"):
        check(headers(), verb="attach.get")


@given(st.sampled_from(sorted(headers())), st.integers(0, 200), st.characters(codec="latin-1"))
def test_no_character_of_any_header_can_change(name: str, position: int, character: str) -> None:
    changed = headers()
    value = changed[name]
    index = position % len(value)
    if value[index] == character:
        return
    changed[name] = value[:index] + character + value[index + 1 :]
    with pytest.raises(Untrusted):
        check(changed)


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_no_byte_of_the_body_can_change(position: int, flip: int) -> None:
    changed = bytearray(BODY)
    changed[position] ^= flip
    with pytest.raises(Untrusted, match="digest"):
        check(headers(), bytes(changed))


@pytest.mark.parametrize("name", sorted(headers()))
def test_a_missing_header_is_refused(name: str) -> None:
    without = headers()
    del without[name]
    with pytest.raises(Untrusted):
        check(without)


def test_the_national_profile_writes_lower_case_keys() -> None:
    assert signing.lower_keys({"base": [{"projectNo": "A"}]}) == {"base": [{"projectno": "A"}]}
