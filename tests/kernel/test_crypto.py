"""Sealing, blind indexes, tokens and password hashes."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import crypto
from kernel.config import ConfigError, load_one
from kernel.crypto import BrokenSeal, CryptoSettings

K1 = base64.b64encode(b"1" * 32).decode()
K2 = base64.b64encode(b"2" * 32).decode()
INDEX = base64.b64encode(b"i" * 32).decode()
HERE = "identity_account.id_number:abc"


def settings(*keys: str, cipher: str = "aes", digest: str = "sha256") -> CryptoSettings:
    return CryptoSettings(
        field_keys=keys or (f"k1:{K1}",), field_cipher=cipher, blind_index_key=INDEX, blind_index_digest=digest
    )


@pytest.fixture(autouse=True)
def keys():
    before = crypto._keyring
    crypto.configure(settings())
    yield
    crypto._keyring = before


@given(st.text())
@pytest.mark.parametrize("cipher", ["aes", "sm4"])
def test_what_is_sealed_can_be_opened_in_its_own_place(cipher, value):
    crypto.configure(settings(cipher=cipher))
    sealed = crypto.seal(value, context=HERE)
    assert crypto.unseal_text(sealed, context=HERE) == value
    assert sealed.isascii()


@pytest.mark.parametrize("cipher", ["aes", "sm4"])
def test_a_sealed_text_moved_to_another_row_or_column_does_not_open(cipher):
    crypto.configure(settings(cipher=cipher))
    sealed = crypto.seal("570101198504120010", context=HERE)
    for elsewhere in ("identity_account.id_number:abd", "identity_account.phone:abc", ""):
        with pytest.raises(BrokenSeal):
            crypto.unseal(sealed, context=elsewhere)


@pytest.mark.parametrize("cipher", ["aes", "sm4"])
def test_every_changed_character_is_noticed(cipher):
    crypto.configure(settings(f"k1:{K1}", f"k2:{K2}", cipher=cipher))
    sealed = crypto.seal("王小芳", context=HERE)
    for position, character in enumerate(sealed):
        other = "A" if character != "A" else "B"
        broken = sealed[:position] + other + sealed[position + 1 :]
        if position == len(sealed) - 1 and base64.urlsafe_b64decode(_padded(broken)) == base64.urlsafe_b64decode(
            _padded(sealed)
        ):
            continue  # the last character's unused bits
        with pytest.raises(BrokenSeal):
            crypto.unseal(broken, context=HERE)


def _padded(sealed: str) -> str:
    payload = sealed.rsplit(".", 1)[1]
    return payload + "=" * (-len(payload) % 4)


@pytest.mark.parametrize(
    "text", ["", "x", "1.a.k1", "1.a.k1.", "1.a.k1.AAAA", "1.z.k1.AAAA", "2.a.k1.AAAA", "1.a.k9.AAAA", "1.a.k1.é"]
)
def test_rubbish_is_refused_without_a_traceback_of_its_own(text):
    with pytest.raises(BrokenSeal):
        crypto.unseal(text, context=HERE)


def test_old_keys_and_old_algorithms_stay_readable_while_rows_move_on():
    old = crypto.seal("老数据", context=HERE)
    crypto.configure(settings(f"k2:{K2}", f"k1:{K1}", cipher="sm4"))
    assert crypto.unseal_text(old, context=HERE) == "老数据"
    assert not crypto.is_current(old)
    fresh = crypto.seal("老数据", context=HERE)
    assert crypto.is_current(fresh)
    assert fresh.startswith("1.s.k2.")

    crypto.configure(settings(f"k2:{K2}"))  # k1 destroyed: its rows are gone, the others not
    with pytest.raises(BrokenSeal):
        crypto.unseal(old, context=HERE)
    assert crypto.unseal_text(fresh, context=HERE) == "老数据"


def test_two_seals_of_one_value_differ():
    assert crypto.seal("x", context=HERE) != crypto.seal("x", context=HERE)


def test_a_broken_seal_never_repeats_what_it_saw():
    with pytest.raises(BrokenSeal) as raised:
        crypto.unseal("13900000001", context="a.b:13900000002")
    assert "139" not in repr(raised.value)


def test_keys_are_in_no_repr():
    chosen = settings()
    crypto.configure(chosen)
    for text in (repr(chosen), repr(crypto._keyring)):
        assert K1 not in text
        assert INDEX not in text
        assert "1111" not in text


@pytest.mark.parametrize("digest", ["sha256", "sm3"])
def test_blind_indexes_are_equal_for_equal_values_of_one_purpose_only(digest):
    crypto.configure(settings(digest=digest))
    one = crypto.blind_index("570101198504120010", purpose="id-number")
    assert one == crypto.blind_index("570101198504120010", purpose="id-number")
    assert one != crypto.blind_index("570101198504120010", purpose="phone")
    assert len(one) == 64
    assert crypto.join_token("570101198504120010", purpose="id-number") not in one


def test_known_answers_of_the_national_algorithms():
    crypto.self_test()
    assert crypto.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    key = bytes.fromhex("0123456789abcdeffedcba9876543210")
    assert crypto.sm4_ecb_encrypt(key, key)[:16].hex() == "681edf34d206965e86b3e94f536e4246"


def test_a_library_that_computes_wrongly_is_not_used(monkeypatch):
    monkeypatch.setattr(crypto, "sm3", lambda data: b"\0" * 32)
    with pytest.raises(RuntimeError):
        crypto.configure(settings())


@given(st.binary(max_size=200))
def test_the_carrier_envelope_opens_again(data):
    key = b"0123456789abcdef"
    assert crypto.sm4_ecb_decrypt(key, crypto.sm4_ecb_encrypt(key, data)) == data


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 16, b"x" * 17])
def test_a_foreign_envelope_is_refused(data):
    with pytest.raises(BrokenSeal):
        crypto.sm4_ecb_decrypt(b"0123456789abcdef", data)


def test_tokens_hold_256_bits_and_are_stored_as_hashes():
    tokens = {crypto.new_token() for _ in range(1000)}
    assert len(tokens) == 1000
    assert all(len(token) == 43 for token in tokens)
    assert len(crypto.token_hash("x")) == 64


def test_constant_equal_takes_text_and_bytes_and_chinese():
    assert crypto.constant_equal("一", "一".encode())
    assert not crypto.constant_equal("一", "二")


async def test_passwords():
    stored = await crypto.hash_password("正确的口令")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await crypto.verify_password("正确的口令", stored)
    assert not await crypto.verify_password("错误的口令", stored)
    assert not await crypto.verify_password("没有这个人", None)


@pytest.mark.parametrize(
    "keys",
    ["", "k1", f"K1:{K1}", "k1:短", "k1:" + base64.b64encode(b"1" * 16).decode(), f"k1:{K1},k1:{K2}"],
)
def test_unusable_keys_are_a_complaint_at_start_that_does_not_show_them(keys):
    with pytest.raises(ConfigError) as raised:
        load_one(CryptoSettings, {"FIELD_KEYS": keys, "BLIND_INDEX_KEY": INDEX})
    assert "FIELD_KEYS" in str(raised.value)
    assert K1 not in str(raised.value)


def test_keys_may_be_listed_by_comma_or_line():
    loaded = load_one(CryptoSettings, {"FIELD_KEYS": f"k2:{K2}\nk1:{K1}", "BLIND_INDEX_KEY": INDEX})
    crypto.configure(loaded)
    assert crypto.seal("x", context=HERE).startswith("1.a.k2.")


def test_nothing_is_sealed_before_the_keys_are_there(monkeypatch):
    monkeypatch.setattr(crypto, "_keyring", None)
    with pytest.raises(RuntimeError):
        crypto.seal("x", context=HERE)
