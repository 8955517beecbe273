"""A small county for delivery tests: regions, a citizen, couriers, a parcel at any point of its way."""

import json
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from backend.cases.models import Case, Material
from backend.cases.ports import DeliveryWish, Recipient
from backend.catalog.models import Region
from backend.delivery import booking, planner, runtime, service
from backend.delivery.carriers.base import CarrierEvent
from backend.delivery.models import Parcel
from backend.delivery.settings import Settings
from backend.delivery.states import Canonical
from backend.identity.actor import Actor
from backend.identity.models import Account, FieldWorker
from kernel import clock, crypto, db, ids
from kernel.models import OutboxRow
from kernel.outbox import Delivery
from tests.backend.delivery.fakes import FakeCarrier
from tests.backend.delivery.test_tariff import SEED_LIKE

TOWN = "620981101000"
STREET = "620981001000"
OTHER_PROVINCE = "310101000000"
REGIONS = {
    "620000000000": ("甘肃省", "province"),
    "620900000000": ("酒泉市", "city"),
    "620981000000": ("玉门市", "county"),
    STREET: ("新市区街道", "town"),
    TOWN: ("玉门镇", "town"),
    "620902000000": ("肃州区", "county"),
    "620100000000": ("兰州市", "city"),
    "620102000000": ("城关区", "county"),
    "310000000000": ("上海市", "province"),
    OTHER_PROVINCE: ("黄浦区", "county"),
}
CITIZEN_ID = "57098119600101001X"
KEY = "k" * 40


@dataclass
class World:
    """What a test holds in its hands."""

    carrier: FakeCarrier = field(default_factory=FakeCarrier)
    serial: int = 0

    async def citizen(self, id_number: str = CITIZEN_ID) -> Actor:
        ref = ids.public_id()
        row = await Account.create(ref=ref, id_sealed=crypto.seal(id_number, context=f"identity_account.id:{ref}"))
        return Actor(account_id=row.id, account_ref=ref, role="citizen", session_id=1, assurance_level=2)

    async def courier(self, *areas: str, carrier: str = "ems") -> Actor:
        self.serial += 1
        ref = ids.public_id()
        row = await FieldWorker.create(
            role="courier",
            ref=ref,
            login_name=f"courier{self.serial}",
            password_hash="x",
            carrier=carrier,
            areas=list(areas),
            name_sealed="x",
            name_mask="张*",
        )
        return Actor(
            account_id=row.id, account_ref=ref, role="courier", session_id=1, assurance_level=0, carrier=carrier
        )

    async def upload(self, actor: Actor, sha256: str = "a" * 64) -> str:
        ref = ids.public_id()
        await Material.create(
            ref=ref,
            account_ref=actor.account_ref,
            state="clean",
            sha256="b" * 64,
            stored_sha256=sha256,
            bytes=1,
            mime="image/jpeg",
            seen_at=clock.now(),
        )
        return ref

    async def case(self, citizen: Actor) -> str:
        self.serial += 1
        case_no = f"62098126112010{self.serial:07d}"
        await Case.create(
            case_no=case_no,
            account_ref=citizen.account_ref,
            item_code="YM-YDZ-BB",
            item_version_id=1,
            item_name="老年人优待证补办",
            region_code="620981000000",
            department_name="玉门市老龄办",
            project_type="promised",
            state="SUBMITTED",
            changed_at=clock.now(),
        )
        return case_no

    async def wish(self, citizen: Actor, region: str = TOWN) -> DeliveryWish:
        quote = await service.quote(actor=citizen, region_code=region)
        return DeliveryWish(way="mail", quote_no=quote.quote_no, recipient=recipient(region))

    async def planned(self, citizen: Actor, wish: DeliveryWish | None = None) -> Parcel:
        case_no = await self.case(citizen)
        wish = wish or await self.wish(citizen)
        async with db.transaction():
            await planner.Planner().plan(case_no=case_no, account_ref=citizen.account_ref, wish=wish)
        return await Parcel.get(case_no=case_no)

    async def booked(self, citizen: Actor, wish: DeliveryWish | None = None) -> Parcel:
        parcel = await self.planned(citizen, wish)
        await booking.note_paid(bill_no=parcel.bill_no)
        await booking.note_granted(case_no=parcel.case_no)
        await run("delivery.order", booking.place_order)
        return await Parcel.get(id=parcel.id)

    async def at_the_door(self, citizen: Actor, courier: Actor) -> Parcel:
        from backend.delivery import couriers

        parcel = await self.booked(citizen)
        assert parcel.courier_ref == courier.account_ref
        await couriers.pick_up(actor=courier, waybill_no=parcel.waybill_no, idem=None)
        return await Parcel.get(id=parcel.id)


def recipient(region: str = TOWN, **changes: str) -> Recipient:
    values = {"name": "王秀英", "phone": "13900000001", "region_code": region, "address": "永丰村3组18号"}
    return Recipient(**(values | changes))


async def make(folder: Path, **changes: object) -> World:
    """Configures the slice and fills the regions."""
    zones = folder / "zones.json"
    zones.write_text(json.dumps(SEED_LIKE), encoding="utf-8")
    world = World()
    settings = Settings(**({"key": KEY, "zones_path": str(zones)} | changes))
    runtime.configure(settings=settings, carriers={"ems": world.carrier})
    parents = {code: _parent(code) for code in REGIONS}
    for code, (name, level) in REGIONS.items():
        await Region.create(
            code=code,
            name=name,
            full_name=name,
            level=level,
            parent_code=parents[code],
            valid_from=date(2018, 1, 1),
            served=True,
        )
    return world


def _parent(code: str) -> str | None:
    above = [c for c in REGIONS if c != code and code.startswith(c.rstrip("0"))]
    return max(above, key=lambda c: len(c.rstrip("0")), default=None)


async def run(topic: str, handler) -> int:
    """Runs every ready row of a topic once, as the worker would; an error leaves the row for the next try."""
    rows = await OutboxRow.filter(topic=topic, state=0).order_by("id")
    for row in rows:
        lease = ids.public_id()
        attempts = row.attempts + 1
        await OutboxRow.filter(id=row.id).update(lease=lease, attempts=attempts)
        job = Delivery(row.id, row.topic, row.key, row.lane, row.payload, attempts, 0, lease, row.created_ms)
        try:
            await handler(job)
        except Exception:
            await OutboxRow.filter(id=row.id).update(lease=None)
            raise
        await OutboxRow.filter(id=row.id, state=0).update(state=1, lease=None)
    return len(rows)


async def news(topic: str) -> list[dict]:
    return [row.payload for row in await OutboxRow.filter(topic=topic).order_by("id")]


def told(parcel: Parcel, code: str, canonical: Canonical, at: datetime | int = 0, text: str = "") -> CarrierEvent:
    """A line of the carrier's track; `at` may be minutes from now."""
    when = clock.now() + timedelta(minutes=at) if isinstance(at, int) else at
    return CarrierEvent("ems", parcel.waybill_no or "", code, canonical, when, "玉门市寄递事业部", text)
