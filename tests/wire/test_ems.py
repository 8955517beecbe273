"""Our EMS adapter against the sandbox carrier over its real wire, and a parcel's whole way through pushed events."""

from dataclasses import replace

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from backend.delivery import couriers, queries, runtime, service, tracking
from backend.delivery.carriers.base import CarrierRefused, CarrierUnclear, Order, OrderExists, Party
from backend.delivery.carriers.ems import Ems
from backend.delivery.models import Parcel, ParcelEvent, Review
from backend.delivery.settings import EmsSettings
from backend.delivery.states import Canonical
from kernel import clock, config, db, http, ids
from kernel.http import Partner
from sandbox.ems import build
from sandbox.serving import serving
from tests.backend.delivery import world as county

SENDER = Party("玉门市政务服务中心", "0937-3331234", "甘肃省", "酒泉市", "玉门市", "政务服务中心综合窗口")
RECEIVER = Party("王秀英", "13900000001", "甘肃省", "酒泉市", "玉门市", "玉门镇永丰村3组18号")


@pytest.fixture
async def product():
    """A stand-in for the HTTP edge: raw body in, the carrier's own words out."""

    async def receive(request: web.Request) -> web.Response:
        reply = await tracking.receive_callback(carrier="ems", headers=dict(request.headers), raw=await request.read())
        return web.Response(status=reply.status, body=reply.body, headers=dict(reply.headers))

    app = web.Application()
    app.router.add_post("/api/v1/callbacks/courier/ems", receive)
    async with TestServer(app) as server:
        yield server


@pytest.fixture
async def sandbox(tmp_path, product):
    async with serving(build, tmp_path / "ems", product_url=str(product.make_url("")).rstrip("/")) as partner:
        yield partner
    await http.close()


@pytest.fixture(autouse=True)
def _folder(tmp_path):
    (tmp_path / "ems").mkdir()


def adapter(sandbox, **changes) -> Ems:
    """Configured by the very lines that the sandbox writes into sandbox.env."""
    settings = replace(config.load_one(EmsSettings, environ=sandbox.environment()), **changes)
    return Ems(settings, Partner("ems", settings.base_url, total_seconds=2.0, read_seconds=0.5))


def order(**changes) -> Order:
    values = {"delivery_no": ids.number(), "created_at": clock.now(), "sender": SENDER, "receiver": RECEIVER}
    return Order(**(values | changes))


async def control(sandbox, path: str, body: dict | None = None) -> dict:
    async with ClientSession() as session, session.post(f"{sandbox.url}/_control/{path}", json=body or {}) as answer:
        assert answer.status < 300, await answer.text()
        return await answer.json()


async def fault(sandbox, call: str, effect: dict, times: int = 1) -> None:
    await control(sandbox, "faults", {"match": {"call": call}, "effect": effect, "times": times})


async def test_the_same_order_gives_the_same_waybill(sandbox) -> None:
    one = order()
    waybill = await adapter(sandbox).create(one)
    assert await adapter(sandbox).create(one) == waybill
    assert await adapter(sandbox).create(order()) != waybill


@pytest.mark.parametrize("shape", ["object", "items"])
async def test_a_waybill_in_every_shape_of_the_body(sandbox, shape) -> None:
    await fault(sandbox, "020003", {"ret_body": shape})
    assert (await adapter(sandbox).create(order())).startswith("11")


@pytest.mark.parametrize(
    "effect",
    [
        {"ret_body": "null"},
        {"ret_body": "empty"},
        {"status": 500},
        {"body": "html"},
        {"body": "garbage"},
        {"body": "truncated"},
        {"body": "empty"},
        {"drop": "before"},
        {"drop": "after"},
        {"delay_ms": 900},
    ],
)
async def test_after_an_unknown_outcome_the_same_number_finds_the_one_order(sandbox, effect) -> None:
    one, ems = order(), adapter(sandbox)
    await fault(sandbox, "020003", effect)
    with pytest.raises(CarrierUnclear):
        await ems.create(one)
    waybill = await ems.create(one)
    assert [p["waybillNo"] for p in sandbox.parcels.all()] == [waybill]


async def test_a_duplicate_error_without_waybill_is_for_a_person(sandbox) -> None:
    sandbox.config["duplicate_order"] = "error"
    one, ems = order(), adapter(sandbox)
    await fault(sandbox, "020003", {"drop": "after"})
    with pytest.raises(CarrierUnclear):
        await ems.create(one)
    with pytest.raises(OrderExists):
        await ems.create(one)


async def test_an_incomplete_order_is_refused_for_certain_only_by_a_listed_code(sandbox) -> None:
    nowhere = order(receiver=Party("王秀英", "13900000001", "甘肃省", "", "玉门市", "x"))
    with pytest.raises(CarrierRefused) as refusal:
        await adapter(sandbox).create(nowhere)
    assert refusal.value.code == "20001"
    with pytest.raises(CarrierUnclear):
        await adapter(sandbox, refused_codes=()).create(nowhere)


@pytest.mark.parametrize(
    "wrong", [{"authorization": "nobody"}, {"sender_no": "1"}, {"sign_key": "AAECAwQFBgcICQoLDA0ODw=="}]
)
async def test_a_wrong_contract_or_key_books_nothing(sandbox, wrong) -> None:
    with pytest.raises(CarrierUnclear):
        await adapter(sandbox, **wrong).create(order())
    assert sandbox.parcels.all() == []


async def test_a_price_is_the_carriers_own(sandbox) -> None:
    far = Party("", "", "上海市", "上海市", "黄浦区", "")
    assert await adapter(sandbox).quote(sender=SENDER, receiver=far, grams=100) == 2000
    await fault(sandbox, "050005", {"ret_body": "null"})
    with pytest.raises(CarrierUnclear):
        await adapter(sandbox).quote(sender=SENDER, receiver=far, grams=100)


async def test_cancelling_before_and_after_pick_up(sandbox) -> None:
    ems, one, two = adapter(sandbox), order(), order()
    first, second = await ems.create(one), await ems.create(two)
    for _ in range(2):
        assert await ems.cancel(delivery_no=one.delivery_no, waybill_no=first, reason="测试")
    await control(sandbox, f"parcels/{second}/event", {"name": "pickup", "callback": False})
    assert not await ems.cancel(delivery_no=two.delivery_no, waybill_no=second, reason="测试")
    with pytest.raises(CarrierUnclear):
        await ems.cancel(delivery_no="unknown", waybill_no=second, reason="测试")


async def test_a_track_grows_and_an_empty_one_is_unknown(sandbox) -> None:
    ems = adapter(sandbox)
    waybill = await ems.create(order())
    assert await ems.track(waybill) == ()
    assert await ems.track("1199999999999") == ()
    for name in ("pickup", "transit", "out"):
        await control(sandbox, f"parcels/{waybill}/event", {"name": name, "callback": False})
    assert [e.canonical for e in await ems.track(waybill)] == [
        Canonical.PICKED_UP,
        Canonical.IN_TRANSIT,
        Canonical.OUT_FOR_DELIVERY,
    ]


# -- with the database: a parcel of ours on the carrier's wire ---------------------------------------------------------


@pytest.fixture
async def world(database, tmp_path, sandbox):
    made = await county.make(tmp_path)
    runtime.configure(settings=runtime.runtime().settings, carriers={"ems": adapter(sandbox)})
    return made


async def until_acknowledged(sandbox, waybill: str, pushes: int) -> None:
    """Real time drives the sandbox's pushes: wait for them, not for a number of seconds."""
    import asyncio

    for _ in range(200):
        rows = [p for p in sandbox.store.all("push") if p["waybillNo"] == waybill]
        if len(rows) >= pushes and all(p["tries"][-1]["acknowledged"] for p in rows):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"pushes not acknowledged: {rows}")


@pytest.mark.parametrize("suffix", ["without", "with"])
@pytest.mark.parametrize("arrival", ["in_order", "reversed", "shuffled"])
async def test_a_whole_way_in_any_order_of_arrival_ends_at_the_door_with_a_question(
    world, sandbox, arrival, suffix
) -> None:
    sandbox.config["callback_suffix"] = suffix
    citizen, courier = await world.citizen(), await world.courier("620981")
    parcel = await world.booked(citizen)
    await control(
        sandbox,
        f"parcels/{parcel.waybill_no}/route",
        {"ends": "second_try", "arrival": arrival, "pause_ms": 5, "copies": 2},
    )
    await until_acknowledged(sandbox, parcel.waybill_no, 12)
    await county.run("inbox.ems", tracking.handle_message)
    parcel = await Parcel.get(id=parcel.id)
    assert (parcel.state, parcel.attempts) == ("OUT_FOR_DELIVERY", 1)
    assert await ParcelEvent.filter(parcel_id=parcel.id, by="carrier").count() == 6
    assert [r.kind for r in await Review.all()] == ["carrier_signed"]
    await county.run(tracking.TRACK, tracking.ask_carrier)
    code = (await queries.parcel(actor=citizen, delivery_no=parcel.delivery_no)).sign_code.code
    answer = await couriers.hand_over(actor=courier, waybill_no=parcel.waybill_no, code=code, idem=None)
    assert answer.status == "DELIVERED"


@pytest.mark.parametrize(("ends", "state"), [("refused", "RETURNED"), ("returned", "RETURNED"), ("lost", "LOST")])
async def test_ways_that_end_badly(world, sandbox, ends, state) -> None:
    parcel = await world.booked(await world.citizen())
    await control(sandbox, f"parcels/{parcel.waybill_no}/route", {"ends": ends, "callback": False})
    async with db.transaction():
        await tracking.ingest(await runtime.runtime().carrier.track(parcel.waybill_no))
    assert (await Parcel.get(id=parcel.id)).state == state


async def test_forged_pushes_are_not_acknowledged_and_change_nothing(world, sandbox) -> None:
    parcel = await world.booked(await world.citizen())
    event = {"waybillNo": parcel.waybill_no, "opCode": "702", "opTime": "2026-11-20 10:00:00"}
    for wish in ({"senderNo": "1"}, {"other_key": True}, {"envelope": "plain"}, {"text": "not json"}):
        answer = (await control(sandbox, "callbacks/forge", {"event": event, **wish}))["answer"]
        assert "00000" not in str(answer.get("body"))
    assert await county.run("inbox.ems", tracking.handle_message) == 0
    assert (await Parcel.get(id=parcel.id)).state == "BOOKED"


async def test_another_province_is_quoted_over_the_wire(world) -> None:
    quote = await service.quote(actor=await world.citizen(), region_code=county.OTHER_PROVINCE)
    assert (quote.amount_fen, quote.source, quote.zone) == (2000, "carrier", "省外")
