"""The one-time code (签收码) that the citizen tells at the door: derived, shown to its owner only, counted when wrong.

Six digits from HMAC(key, parcel, generation), so the owner can be shown it again; only its hash and the generation are
stored. Five wrong tries lock a generation, the citizen may ask for a new one three times. A courier is limited per hour
and per day over all parcels, counted in the database, so a second process or a restart forgets nothing: with the default
of 30 wrong tries a day, one courier's chance of guessing any code in a day is below 1 in 30,000.
"""

import hashlib
import hmac
from enum import StrEnum

import msgspec

from backend.delivery.models import Parcel
from backend.delivery.runtime import runtime
from kernel import clock, crypto, db
from kernel.problems import Conflict, TooMany

DIGITS = 6
TRIES = 5
RENEWALS = 3
_MODULUS = 10**DIGITS


class Verdict(StrEnum):
    """What a try came to. Everything but RIGHT must be committed before the courier is told."""

    RIGHT = "right"
    WRONG = "wrong"
    LOCKED = "locked"
    TOO_MANY = "too_many"


class NoCode(Conflict):
    """There is nothing to tell at the door now."""

    code, title = "sign-code-not-open", "派送开始后才有签收码，请稍后再看"


class CodeLocked(Conflict):
    """Too many wrong tries on this parcel."""

    code = "sign-code-locked"
    title = "签收码已连续输错五次，请让收件人在手机上重新获取签收码，或按特殊情况登记"


class WrongCode(Conflict):
    """The digits are not the ones the citizen was shown."""

    code, title = "sign-code-wrong", "签收码不正确，请与收件人核对"


class NoMoreCodes(Conflict):
    """The citizen has used all new codes of this parcel."""

    code, title = "sign-code-used-up", "重新获取的次数已用完，请让投递员按特殊情况登记，或联系窗口"


class CourierSlowDown(TooMany):
    """One courier was wrong too often, over all parcels."""

    code, title = "sign-code-courier-limit", "您输错签收码的次数过多，请稍后再试，或联系派件负责人"


class SignCode(msgspec.Struct, frozen=True, kw_only=True):
    """The code as its owner sees it. Never logged, never in a list, never shown to a courier or clerk."""

    code: str
    generation: int
    tries_left: int
    renewals_left: int


def derive(delivery_no: str, generation: int, *, key: str) -> str:
    """The six digits of one generation of one parcel."""
    digest = _mac(key, "show", delivery_no, str(generation))
    return f"{int.from_bytes(digest, 'big') % _MODULUS:0{DIGITS}d}"


def code_hash(delivery_no: str, generation: int, code: str, *, key: str) -> str:
    """What is stored and compared: without the key a million guesses against it are worth nothing."""
    return _mac(key, "hash", delivery_no, str(generation), code).hex()


def open_code(parcel: Parcel) -> None:
    """The first generation, when the parcel goes out; going out again keeps the code and its counted tries."""
    if parcel.code_generation == 0:
        _set_generation(parcel, 1)
    elif parcel.code_hash is None:
        _set_generation(parcel, parcel.code_generation + 1)


def close_code(parcel: Parcel) -> None:
    """The code dies with the hand-over or the return."""
    parcel.code_hash = None


def show(parcel: Parcel) -> SignCode:
    """The code for the owner's eyes. Raises NoCode, CodeLocked."""
    if parcel.code_hash is None:
        raise NoCode
    if parcel.code_tries >= TRIES:
        raise CodeLocked("签收码已被输错五次，请重新获取")
    return SignCode(
        code=derive(parcel.delivery_no, parcel.code_generation, key=runtime().settings.key),
        generation=parcel.code_generation,
        tries_left=TRIES - parcel.code_tries,
        renewals_left=renewals_left(parcel),
    )


def is_locked(parcel: Parcel) -> bool:
    """Whether the open code was wrong too often to be tried again."""
    return parcel.code_hash is not None and parcel.code_tries >= TRIES


def renewals_left(parcel: Parcel) -> int:
    """How many new codes the citizen may still ask for."""
    return int(max(0, RENEWALS + 1 - parcel.code_generation))


def renew(parcel: Parcel) -> None:
    """A new generation with fresh tries; the old digits are worthless at once. Raises NoCode, NoMoreCodes."""
    if parcel.code_hash is None:
        raise NoCode
    if renewals_left(parcel) == 0:
        raise NoMoreCodes
    _set_generation(parcel, parcel.code_generation + 1)


async def attempt(parcel: Parcel, code: str, *, by_ref: str) -> Verdict:
    """Tries a code under the parcel's lock and counts it when wrong; the caller saves the parcel and commits.

    The digits are compared in constant time and compared always, so that a locked parcel answers no differently in time.
    """
    expected = parcel.code_hash or "0" * 64
    given = code_hash(parcel.delivery_no, parcel.code_generation, code, key=runtime().settings.key)
    right = crypto.constant_equal(given, expected)
    if parcel.code_hash is None or parcel.code_tries >= TRIES:
        return Verdict.LOCKED
    if await _too_often(by_ref):
        return Verdict.TOO_MANY
    if right:
        return Verdict.RIGHT
    parcel.code_tries += 1
    await _count_wrong(by_ref)
    return Verdict.LOCKED if parcel.code_tries >= TRIES else Verdict.WRONG


def _set_generation(parcel: Parcel, generation: int) -> None:
    key = runtime().settings.key
    parcel.code_generation, parcel.code_tries = generation, 0
    digits = derive(parcel.delivery_no, generation, key=key)
    parcel.code_hash = code_hash(parcel.delivery_no, generation, digits, key=key)


def _slots() -> tuple[tuple[str, int], tuple[str, int]]:
    settings, now = runtime().settings, clock.local(clock.now())
    return (
        (now.strftime("h%Y%m%d%H"), settings.wrong_codes_per_hour),
        (now.strftime("d%Y%m%d"), settings.wrong_codes_per_day),
    )


async def _too_often(courier_ref: str) -> bool:
    """Creates or locks the courier's counters first: tries on different parcels at the same instant count one by one."""
    full = False
    for slot, limit in _slots():
        rows = await db.fetch(
            "INSERT INTO delivery_wrong_codes (courier_ref, slot, tries, created_at) VALUES (?, ?, 0, ?) "
            "ON CONFLICT (courier_ref, slot) DO UPDATE SET tries = delivery_wrong_codes.tries RETURNING tries",
            courier_ref,
            slot,
            clock.now(),
        )
        full = full or rows[0]["tries"] >= limit
    return full


async def _count_wrong(courier_ref: str) -> None:
    for slot, _ in _slots():
        await db.execute(
            "UPDATE delivery_wrong_codes SET tries = tries + 1 WHERE courier_ref = ? AND slot = ?", courier_ref, slot
        )


def _mac(key: str, *parts: str) -> bytes:
    return hmac.digest(key.encode(), "\x1f".join(("sign-code", *parts)).encode(), hashlib.sha256)
