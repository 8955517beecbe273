"""Applying and following: drafts, submission, corrections, withdrawal, the one view of case × bill × parcel."""

from asyncio import Future
from datetime import date
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from backend import overview
from backend.cases import corrections, details, queries, reading, results, service, submission
from backend.cases.contents import Draft
from backend.cases.screening import MaterialChoice
from backend.cases.service import CaseMoved, CaseOpened, QueryPassword
from backend.cases.submission import Submission, Submitted
from backend.identity.login import Seen
from miniprogram_api.endpoints import CITIZEN, PUBLIC, Call, Raw, endpoint
from miniprogram_api.items import RegionCode
from miniprogram_api.pages import PageQuery

_TAG = "办件"
T = TypeVar("T")
MaterialId = Annotated[str, Meta(pattern=r"^[a-z2-7]{26}$", description="材料编号不对，请重新上传")]
Form = Annotated[dict[str, Any], Meta(max_length=200, description="表单内容不符合要求")]


class Chosen(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which uploaded files are handed in for one requirement."""

    code: Annotated[str, Meta(min_length=1, max_length=64, description="材料代码不对，请刷新办事指南")]
    material_ids: Annotated[list[MaterialId], Meta(max_length=30, description="一项材料最多 30 个文件")]


class Receiver(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Who receives the parcel."""

    name: Annotated[str, Meta(min_length=1, max_length=60, description="请填写收件人姓名")]
    phone: Annotated[str, Meta(min_length=5, max_length=30, description="请填写收件人电话")]
    region_code: RegionCode
    address: Annotated[str, Meta(min_length=2, max_length=200, description="请填写详细地址，2 到 200 个字")]


class Wish(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How the result should come."""

    way: Annotated[Literal["pickup", "mail"], Meta(description="只能是 pickup（窗口领取）或 mail（邮寄）")]
    quote_no: Annotated[str, Meta(pattern=r"^[a-z2-7]{26}$", description="请重新获取邮寄费报价")] | None = None
    recipient: Receiver | None = None


class PromiseLater(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """容缺: what will be handed in later, and by when."""

    codes: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=30)]
    until_on: date
    confirmed: bool


class OpenCase(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """For which item and where."""

    item_code: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$", description="事项代码不对，请从事项列表选择")]
    region_code: RegionCode


class SaveDraft(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What was typed so far."""

    form: Form = {}
    materials: Annotated[list[Chosen], Meta(max_length=60)] = []
    delivery: dict[str, Any] | None = None
    promise: dict[str, Any] | None = None


class Submit(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Everything an application needs."""

    form: Form
    materials: Annotated[list[Chosen], Meta(max_length=60)] = []
    promise: PromiseLater | None = None
    delivery: Wish | None = None


class Correct(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The answer to a correction list."""

    materials: Annotated[list[Chosen], Meta(max_length=60)] = []
    form: Form | None = None


class Withdraw(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Why, in the person's own words; may be empty."""

    reason: Annotated[str, Meta(max_length=200, description="撤回原因不超过 200 个字")] = ""


class CaseLookup(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A case by its number and query password, without a login."""

    case_no: Annotated[str, Meta(pattern=r"^\d{21}$", description="办件编号为 21 位数字")]
    password: Annotated[str, Meta(pattern=r"^\d{6}$", description="查询密码为 6 位数字")]


def _as(wanted: type[T], value: Any) -> T:
    """The edge's struct as the slice's own."""
    return msgspec.convert(msgspec.to_builtins(value), wanted)


@endpoint(
    "POST",
    "/cases",
    summary="开始申请（建立草稿）",
    tag=_TAG,
    roles=CITIZEN,
    body=OpenCase,
    answer=CaseOpened,
    status=201,
    idempotent=True,
    limit="60/minute",
)
async def open_case(call: Call, body: OpenCase) -> CaseOpened:
    return await service.open_draft(
        actor=call.actor, item_code=body.item_code, region_code=body.region_code.ljust(12, "0"), idem=call.idem
    )


@endpoint(
    "PUT",
    "/cases/{case_no}",
    summary="保存草稿",
    tag=_TAG,
    roles=CITIZEN,
    body=SaveDraft,
    answer=CaseMoved,
    limit="120/minute",
)
async def save_draft(call: Call, body: SaveDraft) -> CaseMoved:
    return await service.save_draft(actor=call.actor, case_no=call.path["case_no"], draft=_as(Draft, body))


@endpoint(
    "POST",
    "/cases/{case_no}/submission",
    summary="提交申请",
    tag=_TAG,
    roles=CITIZEN,
    body=Submit,
    answer=Submitted,
    status=201,
    idempotent=True,
    limit="60/minute",
)
async def submit(call: Call, body: Submit) -> Submitted:
    return await submission.submit(
        actor=call.actor, case_no=call.path["case_no"], submission=_as(Submission, body), idem=call.idem
    )


@endpoint(
    "GET",
    "/cases",
    summary="我的办件",
    tag=_TAG,
    roles=CITIZEN,
    query=PageQuery,
    answer=queries.CasesPage,
    etag=True,
    proves_login=True,
)
def cases(digest: str, path: dict[str, str], query: PageQuery) -> Future[Seen | None]:
    return reading.page(digest=digest, cursor=query.cursor, limit=query.limit)


@endpoint(
    "GET",
    "/cases/{case_no}",
    summary="一件办件：办理、缴费、寄送和下一步",
    tag=_TAG,
    roles=CITIZEN,
    answer=overview.CaseOverview,
    etag=True,
)
async def case(call: Call) -> overview.CaseOverview:
    return await overview.case(actor=call.actor, case_no=call.path["case_no"])


@endpoint(
    "GET",
    "/cases/{case_no}/status",
    summary="一件办件现在的状态（轻量，适合反复查询）",
    tag=_TAG,
    roles=CITIZEN,
    answer=queries.CaseRow,
    etag=True,
    proves_login=True,
)
def case_status(digest: str, path: dict[str, str], query: None) -> Future[Seen | None]:
    return reading.status(digest=digest, case_no=path["case_no"])


@endpoint(
    "GET",
    "/cases/{case_no}/timeline",
    summary="办理过程（办理、缴费、寄送合在一起）",
    tag=_TAG,
    roles=CITIZEN,
    answer=overview.Timeline,
    etag=True,
)
async def timeline(call: Call) -> overview.Timeline:
    return await overview.timeline(actor=call.actor, case_no=call.path["case_no"])


@endpoint(
    "POST",
    "/cases/{case_no}/corrections/{number}",
    summary="提交补正",
    tag=_TAG,
    roles=CITIZEN,
    body=Correct,
    answer=CaseMoved,
    idempotent=True,
    limit="60/minute",
)
async def correct(call: Call, body: Correct) -> CaseMoved:
    return await corrections.answer(
        actor=call.actor, case_no=call.path["case_no"], number=int(call.path["number"]),
        materials=tuple(_as(MaterialChoice, m) for m in body.materials), form=body.form, idem=call.idem,
    )  # fmt: skip


@endpoint(
    "POST",
    "/cases/{case_no}/withdrawal",
    summary="撤回申请",
    tag=_TAG,
    roles=CITIZEN,
    body=Withdraw,
    answer=CaseMoved,
    idempotent=True,
    limit="30/minute",
)
async def withdraw(call: Call, body: Withdraw) -> CaseMoved:
    return await service.withdraw(actor=call.actor, case_no=call.path["case_no"], reason=body.reason, idem=call.idem)


@endpoint(
    "POST",
    "/cases/{case_no}/query-password",
    summary="重新获取查询密码",
    tag=_TAG,
    roles=CITIZEN,
    answer=QueryPassword,
    idempotent=True,
    limit="5/minute",
)
async def query_password(call: Call) -> QueryPassword:
    return await service.reissue_query_password(actor=call.actor, case_no=call.path["case_no"], idem=call.idem)


@endpoint(
    "GET",
    "/cases/{case_no}/results/{result_id}",
    summary="下载办理结果",
    tag=_TAG,
    roles=CITIZEN,
    raw_answer="*/*",
)
async def result_file(call: Call) -> Raw:
    view, data = await results.read_file(actor=call.actor, case_no=call.path["case_no"], file_id=call.path["result_id"])
    return Raw(body=data, content_type=view.mime, headers={"Content-Disposition": "attachment"})


@endpoint(
    "POST",
    "/case-query",
    summary="不登录，用办件编号和查询密码查进度（已脱敏）",
    tag=_TAG,
    roles=PUBLIC,
    body=CaseLookup,
    answer=details.PublicStatus,
    limit="10/minute;50/hour",
)
async def look_up(call: Call, body: CaseLookup) -> details.PublicStatus:
    return await details.by_password(case_no=body.case_no, password=body.password)
