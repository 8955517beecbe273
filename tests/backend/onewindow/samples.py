"""A published item and submitted cases as the other slices would leave them, without walking through their screens."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from backend.cases import contents, steps
from backend.cases.models import Attachment, Case, Material
from backend.cases.ports import DeliveryWish, Recipient
from backend.cases.states import CaseState
from backend.catalog import queries as catalog
from backend.catalog.models import Item
from backend.catalog.models import ItemVersion as VersionRow
from backend.catalog.views import DepartmentView, FeeView, Guide, MaterialRule
from backend.identity.views import Person
from kernel import clock, db, ids, outbox, storage

ITEM_CODE, TASK_CODE = "YM-YDZ-BB", "11620981013953011H4000114001001"
REGION = "620981000000"
ID_NUMBER = "570981195603150018"
PHOTO = b"\xff\xd8\xff\xe0" + b"a photo of nobody " * 40

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {"reason": {"type": "string", "title": "补办原因", "enum": ["遗失", "损坏"]}},
    "required": ["reason"],
}

# The same item as the platform knows it.
PLATFORM_ITEM: dict[str, Any] = {
    "taskCode": TASK_CODE,
    "taskVersion": "1",
    "taskName": "老年人优待证补办",
    "catalogCode": "000114001001",
    "projectType": "2",
    "areaScope": ["620981"],
    "materials": [{"materialId": "photo", "materialName": "一寸照片", "isNeed": 1}],
    "form": [{"name": "reason", "nameCn": "补办原因", "required": True, "options": ["遗失", "损坏"]}],
}


@dataclass(frozen=True)
class Sample:
    """A submitted case."""

    case_no: str
    account_ref: str


def guide() -> Guide:
    return Guide(
        item_code=ITEM_CODE,
        version=1,
        effective_from=date(2026, 1, 1),
        name="老年人优待证补办",
        summary="优待证遗失或损坏后补办",
        main_name="老年人优待证办理",
        catalog_code="000114001001",
        task_code=TASK_CODE,
        handle_code=None,
        task_type="20",
        task_type_label="公共服务",
        level="4",
        level_label="县级",
        department=DepartmentView(code="11620981013953011H", name="玉门市民政局"),
        region_code=REGION,
        audience="person",
        audience_label="个人",
        theme="养老",
        project_type="promised",
        project_type_label="承诺件",
        legal_days=20,
        promise_days=5,
        legal_limit_label="20 个工作日",
        promise_limit_label="5 个工作日",
        visits=0,
        visits_label="不用跑",
        visits_reason=None,
        online_depth=4,
        apply_online=True,
        ways=("online",),
        ways_label="网上办理",
        assurance_level=2,
        assurance_label="实名",
        conditions=(),
        materials=(
            MaterialRule(
                code="photo",
                name="一寸照片",
                need="required",
                kind="photo",
                source="申请人自备",
                purpose_text="印在证上",
                how_text="白底",
                max_files=1,
            ),
        ),
        steps=(),
        fee=FeeView(charged=True, summary="10 元"),
        pay_before_forward=True,
        results=(),
        delivery_modes=("pickup", "mail"),
        delivery_label="窗口领取或寄送",
        places=(),
        consult_phone="0937-0000102",
        complaint_phone="0937-3212345",
        tacit_consent=False,
        notices=(),
        faqs=(),
        legal_basis=(),
        form=FORM,
    )


async def publish_item() -> int:
    """Put the item into the catalogue; its version's number."""
    known = await VersionRow.filter(task_code=TASK_CODE).first()
    if known is not None:
        return known.id
    catalog.forget_cached()  # numbers of versions begin anew with every test's database
    item = await Item.create(item_code=ITEM_CODE)
    row = await VersionRow.create(
        item_id=item.id,
        version=1,
        effective_from=date(2026, 1, 1),
        name="老年人优待证补办",
        search_text="",
        audience="person",
        department_code="11620981013953011H",
        region_code=REGION,
        catalog_code="000114001001",
        task_code=TASK_CODE,
        card="{}",
        body=msgspec.json.encode(guide()).decode(),
        etag='"1"',
        source_hash="0" * 64,
        author="测试",
        reason="测试",
    )
    return row.id


async def submitted_case(*, serial: int = 1, ready: bool = True, photo: bytes = PHOTO) -> Sample:
    """A paid and submitted case that waits for being forwarded."""
    sample = Sample(case_no=f"6209812611201{serial:07d}5", account_ref=ids.public_id())
    version_id = await publish_item()
    async with db.transaction():
        case = Case(
            case_no=sample.case_no,
            account_ref=sample.account_ref,
            item_code=ITEM_CODE,
            item_version_id=version_id,
            item_name="老年人优待证补办",
            region_code=REGION,
            department_name="玉门市民政局",
            project_type="promised",
            state=CaseState.SUBMITTED,
            data_version=1,
            ready_version=1,
            submitted_at=clock.now(),
            changed_at=clock.now(),
        )
        contents.put_form(case, {"reason": "遗失"})
        contents.put_applicant(case, person(sample.account_ref))
        contents.put_delivery(case, wish())
        await case.save()
        if photo:
            await attach(case, photo)
        if ready:
            payload = {"case_no": sample.case_no, "data_version": 1}
            await outbox.publish(
                "case.ready", key=f"case.ready:{sample.case_no}:1", payload=payload, lane=steps.lane(sample.case_no)
            )
    return sample


async def attach(case: Case, photo: bytes, *, version: int = 1) -> None:
    """A photo in use from a data version on, in place of the one before."""
    key = storage.new_key("material")
    await storage.put(key, photo)
    material = await Material.create(
        ref=ids.public_id(),
        account_ref=case.account_ref,
        state="clean",
        sha256="0" * 64,
        bytes=len(photo),
        mime="image/jpeg",
        stored_sha256="0" * 64,
        stored_bytes=len(photo),
        storage_key=key,
        seen_at=clock.now(),
    )
    await Attachment.filter(case_id=case.id, until_version=None).update(until_version=version)
    await Attachment.create(case_id=case.id, material_id=material.id, code="photo", position=0, since_version=version)


def person(account_ref: str) -> Person:
    return Person(
        account_ref=account_ref,
        assurance_level=2,
        name="测试一",
        name_mask="测**",
        id_type="resident_id",
        id_number=ID_NUMBER,
        id_mask="570***********0018",
        phone="13900000001",
        phone_mask="139****0001",
    )


def wish() -> DeliveryWish:
    recipient = Recipient(name="测试一", phone="13900000001", region_code=REGION, address="新市区测试路 1 号")
    return DeliveryWish(way="mail", quote_no=None, recipient=recipient)
