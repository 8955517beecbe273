"""The only place that moves a parcel: lock, table, save, event row, news to the outbox. Who may ask is decided by callers."""

import hashlib
from datetime import UTC, datetime

from backend.delivery import sign_code
from backend.delivery.carriers.base import CarrierEvent
from backend.delivery.models import Parcel, ParcelEvent
from backend.delivery.runtime import runtime
from backend.delivery.states import (
    OURS,
    PARCEL,
    TARGETS,
    By,
    Canonical,
    Mark,
    ParcelAction,
    ParcelState,
    Position,
    follow,
    mark_of,
)
from kernel import clock, crypto, db, outbox
from kernel.problems import NotFound
from kernel.state_machine import IllegalTransition

NO_PARCEL = "没有找到这件包裹，请核对编号"
# What we concluded ourselves; no late message of a carrier moves a parcel out of it.
_OURS = frozenset({ParcelState.DELIVERED, ParcelState.COLLECTED, ParcelState.CANCELLED, ParcelState.WAITING_PICKUP})
_CODE_DIES = frozenset({ParcelState.DELIVERED, ParcelState.COLLECTED, ParcelState.RETURNED, ParcelState.CANCELLED})
_CODE_OPENS = frozenset({ParcelState.OUT_FOR_DELIVERY, ParcelState.WAITING_PICKUP})
# Where the carrier has nothing more to tell: no polling.
_QUIET = _OURS | {ParcelState.RETURNED, ParcelState.QUOTED, ParcelState.BOOK_FAILED}
_NEWS: dict[ParcelState, str] = {
    ParcelState.BOOKED: "parcel.booked",
    ParcelState.OUT_FOR_DELIVERY: "parcel.out_for_delivery",
}


async def locked(**filters: str) -> Parcel:
    """The parcel under its row lock. Raises NotFound."""
    parcel = await db.lock(Parcel, **filters)
    if parcel is None:
        raise NotFound(NO_PARCEL)
    return parcel


def may(parcel: Parcel, action: ParcelAction, *, by: By) -> ParcelState:
    """Where the action would lead. Raises IllegalTransition (409): also for what only somebody else may do in this state."""
    if not PARCEL.allows(parcel.state, action, by=by):
        raise IllegalTransition(f"包裹当前为“{PARCEL.label(parcel.state).label}”，不能进行这项操作")
    return TARGETS[action]


def lane(parcel: Parcel) -> str:
    """All news of one parcel is told in order."""
    return f"parcel:{parcel.delivery_no}"


def mark(parcel: Parcel) -> Mark:
    """How far the parcel is on its way."""
    return Mark(parcel.mark_stage, parcel.mark_at, parcel.mark_rank)


async def step(
    parcel: Parcel, action: ParcelAction, *, by: By, actor_ref: str | None = None, code: str = "", text: str = ""
) -> None:
    """Something we or our people did, now. Raises IllegalTransition (409)."""
    now, target = clock.now(), may(parcel, action, by=by)
    before, parcel.mark_stage = mark(parcel), OURS
    parcel.mark_at, parcel.mark_rank = now, 0
    if target not in _OURS:
        wanted = mark_of(target, now)
        # A carrier's clock may run ahead of ours: what happened here and now still counts as the latest news.
        reached = wanted if action is ParcelAction.REOPEN else max(wanted, Mark(wanted.stage, before.at, wanted.rank))
        parcel.mark_stage, parcel.mark_at, parcel.mark_rank = reached.stage, reached.at, reached.rank
    await _write(
        parcel,
        target,
        dedupe=_digest("own", parcel.delivery_no, str(parcel.seq + 1)),
        by=by,
        actor_ref=actor_ref,
        code=code or action.value,
        canonical=target.value,
        at=now,
        place="",
        text=text,
    )


async def note(parcel: Parcel, what: str, *, by: By, actor_ref: str | None) -> None:
    """Something worth keeping that moves nothing, such as another courier."""
    await _write(
        parcel,
        ParcelState(parcel.state),
        dedupe=_digest("own", parcel.delivery_no, str(parcel.seq + 1)),
        by=by,
        actor_ref=actor_ref,
        code=what,
        canonical=what,
        at=clock.now(),
        place="",
        text="",
    )


async def report(parcel: Parcel, event: CarrierEvent) -> bool:
    """A line of the carrier's track; False for a copy of a known one. Whatever it says is stored, and may move the parcel."""
    dedupe = _digest(event.carrier, event.waybill_no, event.code, event.at.astimezone(UTC).isoformat())
    if await ParcelEvent.filter(dedupe=dedupe).exists():
        return False
    reached = follow(
        Position(ParcelState(parcel.state), mark(parcel), parcel.carrier_attempts),
        event.canonical,
        event.at,
        attempt_limit=runtime().settings.attempt_limit,
        courier_attempts=parcel.courier_attempts,
    )
    parcel.mark_stage, parcel.mark_at, parcel.mark_rank = reached.mark.stage, reached.mark.at, reached.mark.rank
    parcel.carrier_attempts = reached.attempts
    parcel.attempts = max(parcel.carrier_attempts, parcel.courier_attempts)
    parcel.news_at = clock.now()
    await _write(
        parcel,
        reached.state,
        dedupe=dedupe,
        by=By.CARRIER,
        actor_ref=None,
        code=event.code,
        canonical=event.canonical.value,
        at=event.at,
        place=event.place,
        text=event.text,
    )
    return True


async def _write(
    parcel: Parcel,
    target: ParcelState,
    *,
    dedupe: str,
    by: By,
    actor_ref: str | None,
    code: str,
    canonical: str,
    at: datetime,
    place: str,
    text: str,
) -> None:
    source = ParcelState(parcel.state)
    parcel.seq += 1
    if target is not source:
        parcel.state, parcel.state_at = target.value, clock.now()
        if target in _CODE_OPENS:
            sign_code.open_code(parcel)
        if target in _CODE_DIES:
            sign_code.close_code(parcel)
        if target in _QUIET:
            parcel.poll_at = None
        elif parcel.poll_at is None and parcel.waybill_no is not None:  # reopened, or moving after a cancellation
            parcel.poll_at = clock.now()
    await parcel.save()
    await ParcelEvent.create(
        parcel=parcel,
        seq=parcel.seq,
        dedupe=dedupe,
        by=by.value,
        actor_ref=actor_ref,
        carrier=parcel.carrier,
        code=code,
        canonical=canonical,
        at=at,
        place=place,
        text_sealed=crypto.seal(text, context=text_context(dedupe)) if text else None,
        from_state=source.value,
        to_state=target.value,
    )
    if target is not source:
        await _tell(parcel, target)


async def _tell(parcel: Parcel, state: ParcelState) -> None:
    payload = {
        "delivery_no": parcel.delivery_no,
        "case_no": parcel.case_no,
        "state": state.value,
        "status": PARCEL.label(state).status,
    }
    for topic in filter(None, ("parcel.moved", _NEWS.get(state))):
        await outbox.publish(
            topic, key=f"{topic}:{parcel.delivery_no}:{parcel.seq}", payload=payload, lane=lane(parcel)
        )


def text_context(dedupe: str) -> str:
    """Where a carrier's sealed words belong."""
    return f"delivery_parcel_event.text:{dedupe}"


def is_movement(canonical: Canonical) -> bool:
    """Whether a carrier's event claims that the thing is on its way."""
    return canonical not in (Canonical.ASSIGNED, Canonical.CANCELLED, Canonical.FEE, Canonical.UNKNOWN)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
