"""What a courier does: takes a parcel, hands it over against the code, records an exception, a failed attempt, the way back.

A courier reaches only parcels assigned to him; everybody else's look like missing ones. Wrong codes and wrong digits are
committed before they are refused: a refusal that rolled back would give an attacker endless tries.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from backend.cases.evidence import Evidence, keep_evidence
from backend.delivery import parcels, receipts, sign_code
from backend.delivery.models import Handover, Parcel
from backend.delivery.reviews import ReviewKind, open_review, settle_by_fact
from backend.delivery.runtime import runtime
from backend.delivery.states import PARCEL, By, ParcelAction, ParcelState
from backend.identity import queries as identity
from backend.identity.actor import Actor
from kernel import clock, crypto
from kernel.idempotency import Idempotency, run_once
from kernel.problems import Conflict, FieldError, Forbidden, Invalid, NotFound, Problem

_S = ParcelState
_ID_TRIES = 5
_SUSPICIOUS = 3
_GONE_OUT = frozenset({_S.OUT_FOR_DELIVERY})


class ExceptionReason(StrEnum):
    """Why there is no code at the door."""

    NO_PHONE = "no_phone"
    CODE_LOCKED = "code_locked"
    ELDERLY = "elderly"
    OTHER = "other"


class FailureReason(StrEnum):
    """Why nobody received."""

    NOBODY = "nobody"
    WRONG_ADDRESS = "wrong_address"
    MOVED = "moved"
    REFUSED = "refused"


EXCEPTION_LABELS = {
    ExceptionReason.NO_PHONE: "收件人没有手机或看不到签收码",
    ExceptionReason.CODE_LOCKED: "签收码已锁定",
    ExceptionReason.ELDERLY: "老年人不便使用签收码",
    ExceptionReason.OTHER: "其他情况",
}
FAILURE_LABELS = {
    FailureReason.NOBODY: "家中无人",
    FailureReason.WRONG_ADDRESS: "地址有误",
    FailureReason.MOVED: "已搬走",
    FailureReason.REFUSED: "收件人拒收",
}


class DigitsWrong(Conflict):
    """The last four of the ID number are not the receiver's; the right ones are never shown."""

    code, title = "id-digits-wrong", "身份证号后四位与收件人不符，请核对证件"


class DigitsLocked(Conflict):
    """Too many wrong digits on this parcel."""

    code, title = "id-digits-locked", "证件核对错误次数过多，请把包裹带回，由窗口处理"


class CourierAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Where the parcel stands after the courier's act."""

    waybill_no: str
    state: str
    status: str
    status_label: str
    at: datetime
    receipt_no: str | None = None
    attempts: int = 0


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What is committed and, under the same key, repeated: the answer, or which refusal was given."""

    answer: CourierAnswer | None = None
    refusal: str | None = None
    tries_left: int = 0


async def pick_up(*, actor: Actor, waybill_no: str, idem: Idempotency | None) -> CourierAnswer:
    """The scan at the window or at the station: the parcel is in this courier's hands and goes out; the code opens.

    Raises NotFound, IllegalTransition.
    """

    async def work() -> CourierAnswer:
        parcel = await _mine(actor, waybill_no)
        if parcel.cancel_at is not None:
            raise Conflict("办件已撤回或结束，包裹不再派送，请交回窗口")
        if parcel.state in (_S.BOOKED, _S.ASSIGNED):
            await parcels.step(parcel, ParcelAction.PICK_UP, by=By.COURIER, actor_ref=actor.account_ref)
        parcel.taken_at = clock.now()
        if parcel.state in _GONE_OUT:  # the carrier's own scan was faster
            await parcel.save(update_fields=["taken_at"])
            await parcels.note(parcel, "taken", by=By.COURIER, actor_ref=actor.account_ref)
        else:
            await parcels.step(parcel, ParcelAction.GO_OUT, by=By.COURIER, actor_ref=actor.account_ref)
        return _answer(parcel)

    return await run_once(idem, CourierAnswer, work)


async def hand_over(*, actor: Actor, waybill_no: str, code: str, idem: Idempotency | None) -> CourierAnswer:
    """The receiver's code makes DELIVERED, at once and with a receipt.

    Raises NotFound, IllegalTransition, WrongCode (tries left in `extra`), CodeLocked, CourierSlowDown.
    """

    async def work() -> _Outcome:
        parcel = await _mine(actor, waybill_no)
        parcels.may(parcel, ParcelAction.HAND_OVER, by=By.COURIER)
        verdict = await sign_code.attempt(parcel, code, by_ref=actor.account_ref)
        if verdict is not sign_code.Verdict.RIGHT:
            await parcel.save(update_fields=["code_tries"])
            if verdict is sign_code.Verdict.LOCKED:
                await _watch(parcel, actor)
            return _Outcome(refusal=verdict.value, tries_left=sign_code.TRIES - parcel.code_tries)
        return await _deliver(parcel, actor, ParcelAction.HAND_OVER, method="code")

    return _told(await run_once(idem, _Outcome, work))


async def hand_over_by_exception(
    *,
    actor: Actor,
    waybill_no: str,
    reason: ExceptionReason,
    id_last4: str,
    photo: str,
    signature: str,
    idem: Idempotency | None,
) -> CourierAnswer:
    """No code at the door: the receiver's ID digits, a photo and a signature make DELIVERED, and a clerk looks at it.

    Photo and signature are material ids of the courier's own uploads. Raises NotFound, IllegalTransition, Invalid,
    DigitsWrong, DigitsLocked.
    """
    _check_exception(id_last4, photo, signature)

    async def work() -> _Outcome:
        parcel = await _mine(actor, waybill_no)
        parcels.may(parcel, ParcelAction.RECORD_EXCEPTION, by=By.COURIER)
        refusal = await check_digits(parcel, id_last4)
        if refusal is not None:
            return _Outcome(refusal=refusal, tries_left=_ID_TRIES - parcel.id_tries)
        kept = await keep_evidence(actor=actor, case_no=parcel.case_no, material_ids=(photo, signature))
        outcome = await _deliver(
            parcel, actor, ParcelAction.RECORD_EXCEPTION, method="exception", reason=reason, kept=kept
        )
        await open_review(parcel, ReviewKind.EXCEPTION, EXCEPTION_LABELS[reason])
        return outcome

    return _told(await run_once(idem, _Outcome, work))


async def attempt_failed(
    *, actor: Actor, waybill_no: str, reason: FailureReason, photo: str | None, idem: Idempotency | None
) -> CourierAnswer:
    """Nobody received, or the receiver refused (then a photo is needed); the third failure holds the parcel.

    Raises NotFound, IllegalTransition, Invalid.
    """
    if reason is FailureReason.REFUSED and not photo:
        raise Invalid(errors=[FieldError("/photo", "拒收必须拍照登记")])

    async def work() -> CourierAnswer:
        parcel = await _mine(actor, waybill_no)
        kept = await _evidence(actor, parcel, photo)
        if reason is FailureReason.REFUSED:
            await parcels.step(
                parcel, ParcelAction.REFUSE, by=By.COURIER, actor_ref=actor.account_ref, code=reason.value
            )
        else:
            parcel.courier_attempts += 1
            parcel.attempts = max(parcel.courier_attempts, parcel.carrier_attempts)
            await parcels.step(
                parcel, ParcelAction.FAIL_ATTEMPT, by=By.COURIER, actor_ref=actor.account_ref, code=reason.value
            )
            if parcel.attempts >= runtime().settings.attempt_limit:
                await parcels.step(parcel, ParcelAction.REACH_LIMIT, by=By.SYSTEM)
        await _record(parcel, actor.account_ref, "failed", reason.value, kept)
        return _answer(parcel)

    return await run_once(idem, CourierAnswer, work)


async def return_(*, actor: Actor, waybill_no: str, idem: Idempotency | None) -> CourierAnswer:
    """The courier starts the way back to the window; only the window itself confirms that it arrived.

    Raises NotFound, IllegalTransition.
    """

    async def work() -> CourierAnswer:
        parcel = await _mine(actor, waybill_no)
        await parcels.step(parcel, ParcelAction.TURN_BACK, by=By.COURIER, actor_ref=actor.account_ref)
        await _record(parcel, actor.account_ref, "return", None, ())
        return _answer(parcel)

    return await run_once(idem, CourierAnswer, work)


async def check_digits(parcel: Parcel, id_last4: str, *, at_window: bool = False) -> str | None:
    """Compares the owner's last four in constant time and counts a wrong try; None when they are right.

    A named clerk with the card in his hand is never locked out: the window is where a locked parcel is sent to.
    """
    if parcel.id_tries >= _ID_TRIES and not at_window:
        return DigitsLocked.code
    number = (await identity.person(parcel.owner_ref)).id_number or ""
    if number and crypto.constant_equal(id_last4.upper(), number[-4:].upper()):
        return None
    parcel.id_tries = min(parcel.id_tries + 1, _ID_TRIES)
    await parcel.save(update_fields=["id_tries"])
    return DigitsLocked.code if parcel.id_tries >= _ID_TRIES and not at_window else DigitsWrong.code


def refusal_of(word: str, tries_left: int) -> Problem:
    """The refusal that was committed, as the person gets it."""
    kinds: dict[str, type[Problem]] = {
        sign_code.Verdict.WRONG: sign_code.WrongCode,
        sign_code.Verdict.LOCKED: sign_code.CodeLocked,
        sign_code.Verdict.TOO_MANY: sign_code.CourierSlowDown,
        DigitsWrong.code: DigitsWrong,
        DigitsLocked.code: DigitsLocked,
    }
    kind = kinds[word]
    wait = 3600 if kind is sign_code.CourierSlowDown else None
    return kind(retry_after_seconds=wait, extra={"tries_left": max(0, tries_left)})


async def deliver(
    parcel: Parcel,
    action: ParcelAction,
    *,
    by: By,
    actor_ref: str,
    method: str,
    reason: str | None,
    kept: Sequence[Evidence],
) -> str:
    """State, record and receipt of a hand-over, together; answers the receipt's number."""
    await parcels.step(parcel, action, by=by, actor_ref=actor_ref)
    await _record(parcel, actor_ref, method, reason, kept)
    receipt_no = await receipts.write(parcel, method=method, actor_ref=actor_ref, evidence=_as_dicts(kept))
    await settle_by_fact(parcel, ReviewKind.CARRIER_SIGNED, f"已由{receipts.METHOD_LABELS[method]}确认")
    return receipt_no


async def _watch(parcel: Parcel, actor: Actor) -> None:
    """Several locked parcels in one courier's hands look like guessing: his supervisor is told."""
    locked = await Parcel.filter(
        courier_ref=actor.account_ref, code_tries__gte=sign_code.TRIES, code_hash__isnull=False
    ).count()
    if locked >= _SUSPICIOUS:
        await open_review(parcel, ReviewKind.COURIER_GUESSES, f"{locked} 个")


async def _deliver(
    parcel: Parcel,
    actor: Actor,
    action: ParcelAction,
    *,
    method: str,
    reason: ExceptionReason | None = None,
    kept: Sequence[Evidence] = (),
) -> _Outcome:
    receipt_no = await deliver(
        parcel,
        action,
        by=By.COURIER,
        actor_ref=actor.account_ref,
        method=method,
        reason=reason.value if reason else None,
        kept=kept,
    )
    return _Outcome(answer=_answer(parcel, receipt_no))


def _told(outcome: _Outcome) -> CourierAnswer:
    if outcome.answer is None:
        raise refusal_of(outcome.refusal or "", outcome.tries_left)
    return outcome.answer


async def _mine(actor: Actor, waybill_no: str) -> Parcel:
    """The courier's own parcel, locked. Another courier's or another carrier's is "not found"."""
    if actor.role != "courier":
        raise Forbidden
    parcel = await parcels.locked(waybill_no=waybill_no, courier_ref=actor.account_ref)
    if parcel.carrier != actor.carrier:
        raise NotFound(parcels.NO_PARCEL)
    return parcel


def _check_exception(id_last4: str, photo: str, signature: str) -> None:
    errors = []
    if len(id_last4) != 4 or not (id_last4[:3].isdigit() and (id_last4[3].isdigit() or id_last4[3] in "xX")):
        errors.append(FieldError("/exception/id_last4", "请填写收件人身份证号的后四位"))
    if not photo:
        errors.append(FieldError("/exception/photo", "请拍摄交接照片"))
    if not signature:
        errors.append(FieldError("/exception/signature", "请让收件人签名"))
    if photo and photo == signature:
        errors.append(FieldError("/exception/signature", "照片和签名不能是同一张图片"))
    if errors:
        raise Invalid(errors=errors)


async def _evidence(actor: Actor, parcel: Parcel, photo: str | None) -> Sequence[Evidence]:
    if not photo:
        return ()
    return await keep_evidence(actor=actor, case_no=parcel.case_no, material_ids=(photo,))


async def _record(parcel: Parcel, actor_ref: str, method: str, reason: str | None, kept: Sequence[Evidence]) -> None:
    number = await Handover.filter(parcel_id=parcel.id).count() + 1
    await Handover.create(
        parcel=parcel,
        number=number,
        actor_ref=actor_ref[:64],
        method=method,
        reason=reason,
        evidence=_as_dicts(kept),
        at=clock.now(),
    )


def _as_dicts(kept: Sequence[Evidence]) -> list[dict[str, str]]:
    return [{"material_id": one.material_id, "sha256": one.sha256} for one in kept]


def _answer(parcel: Parcel, receipt_no: str | None = None) -> CourierAnswer:
    label = PARCEL.label(parcel.state)
    return CourierAnswer(
        waybill_no=parcel.waybill_no or "",
        state=parcel.state,
        status=label.status,
        status_label=label.label,
        at=clock.local(parcel.state_at),
        receipt_no=receipt_no,
        attempts=parcel.attempts,
    )
