"""What the window does with a parcel: hands the result to the citizen, takes a returned one back, reports one lost."""

from backend.delivery import booking, parcels, sign_code
from backend.delivery.couriers import check_digits, deliver, refusal_of
from backend.delivery.planner import DOCUMENT_OUT
from backend.delivery.reviews import ReviewKind, open_review
from backend.delivery.states import By, ParcelAction, ParcelState
from kernel import db
from kernel.problems import Invalid


async def window_pickup(*, case_no: str, clerk: str, id_last4: str, code: str | None = None) -> str:
    """窗口领取: the clerk checks the person's ID and, where there is one, the pick-up code; answers the receipt number.

    Also for a parcel that came back, could not be booked, was called off by the carrier or never paid. A parcel waiting for pick-up needs its code
    unless the clerk writes code "none": then the ID alone counts and the receipt says so.
    Raises NotFound, IllegalTransition, Conflict, WrongCode, CodeLocked, DigitsWrong.
    """
    if not clerk.strip():
        raise Invalid("请写明窗口工作人员")
    refusal, tries_left, receipt_no = None, 0, ""
    async with db.transaction():
        parcel = await parcels.locked(case_no=case_no, kind=DOCUMENT_OUT)
        parcels.may(parcel, ParcelAction.COLLECT, by=By.CLERK)
        booking.check_collectable(parcel)
        was_sent = parcel.state == ParcelState.RETURNED
        refusal = await check_digits(parcel, id_last4, at_window=True)
        if refusal is None and parcel.state == ParcelState.WAITING_PICKUP and code != "none":
            verdict = await sign_code.attempt(parcel, code or "", by_ref=f"clerk:{clerk}"[:26])
            await parcel.save(update_fields=["code_tries"])
            if verdict is not sign_code.Verdict.RIGHT:
                refusal, tries_left = verdict.value, sign_code.TRIES - parcel.code_tries
        if refusal is None:
            reason = "without_code" if code == "none" else None
            receipt_no = await deliver(
                parcel, ParcelAction.COLLECT, by=By.CLERK, actor_ref=clerk, method="window", reason=reason, kept=()
            )
            if not was_sent:
                await booking.void_fee(parcel, "collected at the window")
    if refusal is not None:
        raise refusal_of(refusal, tries_left)
    return receipt_no


async def window_return(*, waybill_no: str, clerk: str) -> str:
    """The window has the parcel back in its hands; answers the delivery number. Raises NotFound, IllegalTransition."""
    async with db.transaction():
        parcel = await parcels.locked(waybill_no=waybill_no)
        await parcels.step(parcel, ParcelAction.ARRIVE_BACK, by=By.CLERK, actor_ref=clerk)
        await open_review(parcel, ReviewKind.RETURNED)
        return parcel.delivery_no


async def report_lost(*, waybill_no: str, clerk: str) -> str:
    """The carrier cannot find it; answers the delivery number. Raises NotFound, IllegalTransition."""
    async with db.transaction():
        parcel = await parcels.locked(waybill_no=waybill_no)
        await parcels.step(parcel, ParcelAction.LOSE, by=By.CLERK, actor_ref=clerk)
        await open_review(parcel, ReviewKind.LOST)
        return parcel.delivery_no
