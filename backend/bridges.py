"""Small adapters between slices that do not know each other; wiring puts them in place."""

from backend.delivery import queries as delivery
from backend.identity import queries as identity
from backend.onewindow.ports import ParcelReport, ParcelStep
from kernel import clock
from kernel.problems import NotFound
from notifications import Addresses


class PeopleDirectory:
    """Where notifications find a person."""

    async def addresses(self, recipient_ref: str) -> Addresses:
        """The WeChat address, if the account has one; an unknown person has none."""
        return Addresses(openid=await identity.openid(recipient_ref))


class ParcelReports:
    """What the one-window platform is told of a parcel, read from the delivery slice."""

    async def report(self, *, delivery_no: str) -> ParcelReport | None:
        """The track so far; None while there is no waybill to speak of."""
        try:
            trace = await delivery.trace(delivery_no=delivery_no)
        except NotFound:
            return None
        if trace.waybill_no is None:
            return None
        steps = tuple(
            ParcelStep(
                canonical=event.canonical,
                at=f"{clock.local(event.at):%Y-%m-%d %H:%M:%S}",
                place=event.place,
                text=event.text,
            )
            for event in trace.events
            if event.moved
        )
        proof = trace.receipt.receipt_no if trace.receipt is not None else ""
        return ParcelReport(carrier=trace.carrier, waybill_no=trace.waybill_no, steps=steps, proof=proof)
