"""Indexes that hold only rows with a value: found by them also by prepared statements, and still the proof of uniqueness."""

import pytest
from tortoise.exceptions import IntegrityError

from backend.cases.models import Case, Event
from backend.delivery.models import Parcel
from kernel import clock, db
from tests.conftest import ENGINE

PREPARED = {
    "delivery_parcel_courier": (
        "text",
        "SELECT id FROM delivery_parcel WHERE courier_ref = $1 ORDER BY id DESC LIMIT 20",
    ),
    "delivery_parcel_poll": (
        "timestamptz",
        "SELECT id FROM delivery_parcel WHERE poll_at <= $1 ORDER BY poll_at, id LIMIT 100",
    ),
    "delivery_parcel_bill": ("text", "SELECT id FROM delivery_parcel WHERE bill_no = $1"),
    "delivery_parcel_waybill": ("text", "SELECT id FROM delivery_parcel WHERE waybill_no = $1"),
    "uid_delivery_pa_carrier_e3727b": (
        "text",
        "SELECT id FROM delivery_parcel WHERE carrier = 'ems' AND waybill_no = $1",
    ),
    "uid_cases_event_case_id_373861": ("text", "SELECT 1 FROM cases_event WHERE case_id = 1 AND source_ref = $1"),
}


RIVALS = {
    "delivery_parcel_waybill": "uid_delivery_pa_carrier_e3727b",
    "uid_delivery_pa_carrier_e3727b": "delivery_parcel_waybill",
}


@pytest.mark.skipif(ENGINE != "postgres", reason="SQLite keeps the whole indexes")
@pytest.mark.parametrize("name", PREPARED)
async def test_a_prepared_statement_uses_it_without_knowing_the_value(database, name):
    kind, statement = PREPARED[name]
    with pytest.raises(LookupError):  # takes the transaction back
        async with db.transaction():
            for setting in ("enable_seqscan = off", "enable_sort = off", "plan_cache_mode = force_generic_plan"):
                await db.execute(f"SET LOCAL {setting}")
            if name in RIVALS:
                await db.execute(f"DROP INDEX {RIVALS[name]}")  # in an empty table it would do as well
            await db.execute(f"PREPARE wanted ({kind}) AS {statement}")
            value = "2026-01-01" if kind == "timestamptz" else "x"
            plan = "\n".join(row["QUERY PLAN"] for row in await db.fetch(f"EXPLAIN EXECUTE wanted ('{value}')"))
            await db.execute("DEALLOCATE wanted")
            raise LookupError
    assert f"{name} on" in plan and "Filter:" not in plan, plan


def parcel(number, **more):
    now = clock.now()
    known = {
        "way": "mail",
        "kind": "DOCUMENT_OUT",
        "carrier": "ems",
        "state": "QUOTED",
        "state_at": now,
        "mark_at": now,
    }
    return Parcel(delivery_no=f"D{number}", case_no=f"C{number}", owner_ref="o", **known | more)


async def test_a_waybill_belongs_to_one_parcel_of_its_carrier(database):
    await Parcel.bulk_create([parcel(1), parcel(2), parcel(3, waybill_no="W"), parcel(4, waybill_no="W", carrier="sf")])
    with pytest.raises(IntegrityError):
        await parcel(5, waybill_no="W").save()


async def test_a_fact_of_a_case_is_written_once(database):
    case = await Case.create(
        case_no="1", account_ref="a", item_code="i", item_version_id=1, item_name="n", region_code="r", department_name="d",
        project_type="promised", state="DRAFT", changed_at=clock.now(),
    )  # fmt: skip
    known = {"case_id": case.id, "kind": "k", "to_state": "DRAFT", "by": "platform", "at": clock.now()}
    for seq, source in ((1, None), (2, None), (3, "s")):
        await Event.create(**known, seq=seq, source_ref=source)
    with pytest.raises(IntegrityError):
        await Event.create(**known, seq=4, source_ref="s")
