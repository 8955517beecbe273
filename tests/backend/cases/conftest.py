"""A county with one item, one citizen and one neighbour: what every test about cases starts from."""

import asyncio
import hashlib
import json
from datetime import date

import msgspec
import pytest

import payments
from backend.cases import runtime, service, submission
from backend.cases.models import Case, Event, Material
from backend.cases.ports import DeliveryWish, Recipient
from backend.cases.screening import MaterialChoice
from backend.cases.settings import CasesSettings
from backend.cases.submission import Submission
from backend.catalog import queries as catalog
from backend.catalog.models import Item, ItemVersion, Offer
from backend.identity.actor import NAME_AND_ID, Actor
from backend.identity.models import Account
from kernel import clock, crypto, db, ids, storage
from kernel.idempotency import Idempotency
from kernel.masks import mask_id_number, mask_name, mask_phone
from payments import runtime as payments_runtime
from payments.settings import PaymentSettings

COUNTY, ELSEWHERE = "620981000000", "620902000000"
UNIT, FEE = "11620981MB0001001X", "YDZ-BB"
ITEM = "YM-YDZ-BB"
FORM = {"reason": "遗失", "contact_mobile": "13900000001"}
SCHEMA = {
    "type": "object",
    "title": "补办",
    "additionalProperties": False,
    "required": ["reason", "contact_mobile"],
    "properties": {
        "reason": {"type": "string", "title": "补办原因", "enum": ["遗失", "损坏"]},
        "contact_mobile": {"type": "string", "title": "联系手机", "format": "mobile"},
    },
}


def material_rule(code, name, need="required", max_files=2):
    return {
        "code": code, "name": name, "need": need, "kind": "photo", "source": "本人准备",
        "purpose_text": "核对", "how_text": "拍照", "max_files": max_files,
    }  # fmt: skip


def guide(**changes):
    """A guide as the catalogue stores it; `changes` replace whole fields."""
    fee_line = {
        "fee_code": FEE, "name": "老年人优待证补办工本费", "unit_name": "证", "price_fen": 1000, "quantity": 1, "basis": "演示",
    }  # fmt: skip
    whole = {
        "item_code": ITEM, "version": 1, "effective_from": "2026-01-01", "name": "老年人优待证补办", "summary": "补办",
        "main_name": "老年人优待证办理", "catalog_code": "620200200100", "task_code": UNIT + "4620200200100",
        "handle_code": "YM-YDZ-002", "task_type": "20", "task_type_label": "公共服务", "level": "4", "level_label": "县级",
        "department": {"code": UNIT, "name": "玉门市民政局"}, "region_code": COUNTY, "audience": "person",
        "audience_label": "个人", "theme": "养老服务", "project_type": "promised", "project_type_label": "承诺件",
        "legal_days": 20, "promise_days": 3, "legal_limit_label": "20 个工作日", "promise_limit_label": "3 个工作日",
        "visits": 0, "visits_label": "不用跑", "visits_reason": None, "online_depth": 4, "apply_online": True,
        "ways": ["mobile"], "ways_label": "手机", "assurance_level": NAME_AND_ID, "assurance_label": "已实名",
        "conditions": ["年满 60 周岁"],
        "materials": [
            material_rule("PHOTO", "近期免冠照片", max_files=1),
            material_rule("IDCARD", "身份证照片"),
            material_rule("JZZ", "居住证照片", "optional"),
            material_rule("HKB", "户口簿照片", "tolerable"),
        ],
        "steps": [], "fee": {"charged": True, "summary": "10 元", "lines": [fee_line], "pay_online": True},
        "pay_before_forward": True, "results": [], "delivery_modes": ["pickup", "mail"], "delivery_label": "自取或邮寄",
        "places": [], "consult_phone": "0937-3332000", "complaint_phone": "0937-3332001", "tacit_consent": False,
        "notices": [], "faqs": [], "legal_basis": [], "form": SCHEMA,
    }  # fmt: skip
    return whole | changes


async def publish(**changes):
    """Put an item in force in the county; answers the id of its version."""
    body = guide(**changes)
    text = json.dumps(body, ensure_ascii=False)
    item, _ = await Item.get_or_create(item_code=body["item_code"])
    version = await ItemVersion.create(
        item_id=item.id, version=body["version"], effective_from=date(2026, 1, 1), name=body["name"], search_text="",
        audience="person", department_code=UNIT, region_code=COUNTY, catalog_code=body["catalog_code"],
        task_code=body["task_code"], card="{}", body=text, etag='"1"', source_hash=ids.public_id(), author="a", reason="r",
    )  # fmt: skip
    await Offer.create(version_id=version.id, prefix="620981")
    return version.id


async def person(name, id_number, phone, *, level=NAME_AND_ID, role="citizen"):
    """An account with a verified identity, and its actor."""
    ref = ids.public_id()
    account = await Account.create(
        ref=ref,
        name_sealed=crypto.seal(name, context=f"identity_account.name:{ref}"), name_mask=mask_name(name),
        id_type="resident_id", id_sealed=crypto.seal(id_number, context=f"identity_account.id:{ref}"),
        id_mask=mask_id_number(id_number), phone_sealed=crypto.seal(phone, context=f"identity_account.phone:{ref}"),
        phone_mask=mask_phone(phone), assurance_level=level,
    )  # fmt: skip
    return Actor(account_id=account.id, account_ref=ref, role=role, session_id=1, assurance_level=level)


class Planner:
    """A hand-written delivery slice: remembers the wishes, refuses when told to."""

    def __init__(self):
        self.wishes, self.error = [], None

    async def plan(self, *, case_no, account_ref, wish):
        assert db.in_transaction()
        if self.error:
            raise self.error
        self.wishes.append((case_no, account_ref, wish))


@pytest.fixture
async def world(database, frozen_clock, tmp_path):
    catalog.forget_cached()
    storage.configure(storage.StorageSettings(), data_folder=tmp_path)
    payments_runtime.use(PaymentSettings(), {})
    planner = Planner()
    runtime.configure(CasesSettings(), planner=planner, work_folder=tmp_path / "work", production=False)
    price = await payments.propose_price(
        unit_code=UNIT, fee_code=FEE, kind="administrative", name="老年人优待证补办工本费", unit_name="证", price_fen=1000,
        valid_from_on=date(2026, 1, 1), approval_price="甘发改价格〔2020〕1号", proposed_by="clerk-a",
    )  # fmt: skip
    await payments.approve_price(fee_item_id=price, approved_by="clerk-b")
    await publish()
    yield World(
        await person("王秀兰", "570101198504123020", "13900000001"),
        await person("欧阳春梅", "57010119740923019X", "13900000002"),
        planner,
        frozen_clock,
    )
    await runtime.close()
    catalog.forget_cached()


class World:
    """Short words for what these tests do all the time."""

    def __init__(self, citizen, neighbour, planner, standing):
        self.citizen, self.neighbour, self.planner, self.clock = citizen, neighbour, planner, standing

    async def photo(self, actor=None, *, state="clean"):
        ref = ids.public_id()
        content = hashlib.sha256(ref.encode()).hexdigest()
        await Material.create(
            ref=ref, account_ref=(actor or self.citizen).account_ref, state=state, sha256=content, bytes=1000,
            mime="image/png", width=640, height=480, stored_sha256=content, stored_bytes=900,
            storage_key=storage.new_key("material"), thumbnail_key=storage.new_key("thumbnail"), seen_at=clock.now(),
        )  # fmt: skip
        return ref

    async def draft(self, actor=None, **more):
        opened = await service.open_draft(actor=actor or self.citizen, item_code=ITEM, region_code=COUNTY, **more)
        return opened.case_no

    async def submission(self, actor=None, **changes):
        codes = ("PHOTO", "IDCARD", "HKB")
        choices = [MaterialChoice(code=code, material_ids=(await self.photo(actor),)) for code in codes]
        whole = {"form": FORM, "materials": tuple(choices), "promise": None, "delivery": DeliveryWish(way="pickup")}
        return Submission(**(whole | changes))

    async def submitted(self, **changes):
        case_no = await self.draft()
        await submission.submit(
            actor=self.citizen, case_no=case_no, submission=await self.submission(**changes), idem=None
        )
        return case_no

    async def forwarded(self):
        """A free case, so that nothing has to be paid before it goes to the office."""
        return await self.submitted()

    async def case(self, case_no):
        return await Case.get(case_no=case_no)

    async def state(self, case_no):
        return (await self.case(case_no)).state

    async def events(self, case_no):
        case = await self.case(case_no)
        return [(event.kind, event.note) for event in await Event.filter(case_id=case.id).order_by("seq")]

    async def promises(self, topic):
        rows = await db.fetch("SELECT key, lane, payload FROM kernel_outbox WHERE topic = ? ORDER BY id", topic)
        return [(row["key"], row["lane"], json.loads(row["payload"])) for row in rows]

    def at(self, minutes=0):
        from datetime import timedelta

        return clock.now() + timedelta(minutes=minutes)


def idem(key="k", scope="citizen:submit", body="h"):
    return Idempotency(scope=scope, key=key, request_hash=body)


MAIL = DeliveryWish(
    way="mail",
    quote_no="Q1",
    recipient=Recipient(name="王秀兰", phone="13900000001", region_code=COUNTY, address="甘肃省玉门市赤金镇和平村3组"),
)


async def gather(*calls):
    """Run all at once; exceptions are results."""
    return await asyncio.gather(*calls, return_exceptions=True)


def encoded(value):
    return msgspec.json.encode(value).decode()
