"""Commands of the citizen: asking for a price, and for a new sign code. Booking, tracking and couriers have their own files."""

from datetime import datetime, timedelta

import msgspec

from backend.delivery import addresses, parcels, sign_code, tariff
from backend.delivery.carriers.base import DOCUMENT_GRAMS, CarrierRefused, CarrierUnclear, Party
from backend.delivery.models import QuoteRow
from backend.delivery.runtime import runtime
from backend.identity.actor import Actor
from kernel import clock, db, ids
from kernel.idempotency import Idempotency, run_once
from kernel.problems import NotFound, PartnerDown

_KEPT_DAYS, _SWEEP_BATCH = 30, 1000


class CarrierSilent(PartnerDown):
    """The price is the carrier's and the carrier does not tell it: no invented price."""

    code, title = "delivery-quote-unavailable", "暂时问不到寄往该地区的费用，请稍后再试，或选择窗口领取"


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """A price for one region, valid until a time. `source` is the published table or the carrier's own tariff."""

    quote_no: str
    region_code: str
    zone: str
    amount_fen: int
    carrier: str
    carrier_name: str
    source: str
    table_version: str
    valid_until: datetime


async def quote(*, actor: Actor, region_code: str) -> Quote:
    """Prices the way from the window to a region (mission row M34) and keeps the price for a while.

    Raises Invalid (no such region), ZoneUnknown (the window will call), CarrierSilent (the carrier did not answer).
    """
    one = runtime()
    where = await addresses.place(region_code, pointer="/region_code")
    price = one.tariff.price(region_code, on=clock.today())
    amount, source = price.amount_fen, "table"
    if amount is None:
        amount, source = await _ask_carrier(where), "carrier"
    async with db.transaction():
        row = await QuoteRow.create(
            quote_no=ids.public_id(),
            account_ref=actor.account_ref,
            region_code=region_code,
            carrier=one.carrier.code,
            zone=price.zone,
            amount_fen=amount,
            source=source,
            table_version=price.table_version,
            valid_until_at=clock.now() + timedelta(minutes=one.settings.quote_minutes),
        )
    return Quote(
        quote_no=row.quote_no,
        region_code=row.region_code,
        zone=row.zone,
        amount_fen=row.amount_fen,
        carrier=row.carrier,
        carrier_name=one.settings.carrier_name,
        source=row.source,
        table_version=row.table_version,
        valid_until=clock.local(row.valid_until_at),
    )


async def _ask_carrier(where: addresses.Place) -> int:
    one = runtime()
    there = Party("", "", where.province, where.city, where.county, where.below)
    try:
        return await one.carrier.quote(sender=one.sender, receiver=there, grams=DOCUMENT_GRAMS)
    except CarrierRefused:
        raise tariff.ZoneUnknown from None
    except CarrierUnclear:
        raise CarrierSilent from None


async def sweep() -> None:
    """Forgets prices nobody used and old counts of wrong codes, in bounded batches (a timer)."""
    before = clock.now() - timedelta(days=_KEPT_DAYS)
    await db.execute(
        "DELETE FROM delivery_quote WHERE id IN "
        "(SELECT id FROM delivery_quote WHERE case_no IS NULL AND valid_until_at < ? ORDER BY id LIMIT ?)",
        before,
        _SWEEP_BATCH,
    )
    await db.execute(
        "DELETE FROM delivery_wrong_codes WHERE id IN "
        "(SELECT id FROM delivery_wrong_codes WHERE created_at < ? ORDER BY id LIMIT ?)",
        before,
        _SWEEP_BATCH,
    )


async def new_sign_code(*, actor: Actor, delivery_no: str, idem: Idempotency | None) -> sign_code.SignCode:
    """A fresh code for the owner, at most three times per parcel; the old digits stop working at once.

    Raises NotFound (also for another person's parcel), NoCode, NoMoreCodes.
    """

    async def work() -> sign_code.SignCode:
        parcel = await parcels.locked(delivery_no=delivery_no)
        if actor.role != "citizen" or parcel.owner_ref != actor.account_ref:
            raise NotFound(parcels.NO_PARCEL)
        sign_code.renew(parcel)
        await parcel.save(update_fields=["code_generation", "code_hash", "code_tries"])
        return sign_code.show(parcel)

    return await run_once(idem, sign_code.SignCode, work)
