"""The catalogue: places, items and guides. Answers are prebuilt bytes with a strong ETag."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from backend.catalog import queries
from backend.catalog.views import Guide, ItemsPage, Prebuilt, RegionView
from miniprogram_api.endpoints import PUBLIC, Call, endpoint
from miniprogram_api.pages import Cursor, Limit

_TAG = "事项"
RegionCode = Annotated[str, Meta(pattern=r"^[1-9](\d{5}|\d{8}|\d{11})$", description="区划代码应为 6、9 或 12 位数字")]


class RegionsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whose children."""

    parent: RegionCode | None = None


class RegionList(msgspec.Struct, frozen=True):
    """Places of one level."""

    items: list[RegionView]


class ItemsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the person looks for."""

    region: RegionCode | None = None
    q: Annotated[str, Meta(min_length=1, max_length=40, description="搜索词为 1 到 40 个字")] | None = None
    audience: (
        Annotated[Literal["person", "enterprise"], Meta(description="只能是 person（个人）或 enterprise（企业）")]
        | None
    ) = None
    cursor: Cursor | None = None
    limit: Limit = 20


@endpoint(
    "GET",
    "/regions",
    summary="下级地区（不填 parent 为本地区的县级）",
    tag=_TAG,
    roles=PUBLIC,
    query=RegionsQuery,
    answer=RegionList,
    etag=True,
)
async def regions(call: Call) -> RegionList:
    found = await queries.regions(parent=call.query.parent, served=call.query.parent is None)
    return RegionList(list(found))


def _asked(q: ItemsQuery) -> dict[str, Any]:
    return {"region_code": q.region, "q": q.q, "audience": q.audience, "cursor": q.cursor, "limit": q.limit}


@endpoint(
    "GET",
    "/items",
    summary="查找事项",
    tag=_TAG,
    roles=PUBLIC,
    query=ItemsQuery,
    answer=ItemsPage,
    etag=True,
    at_hand=lambda path, query: queries.items_page_at_hand(**_asked(query)),
)
async def items(call: Call) -> Prebuilt:
    return await queries.items_page(**_asked(call.query))


@endpoint(
    "GET",
    "/items/{item_code}",
    summary="办事指南",
    tag=_TAG,
    roles=PUBLIC,
    answer=Guide,
    etag=True,
    at_hand=lambda path, query: queries.guide_at_hand(item_code=path["item_code"]),
)
async def guide(call: Call) -> Prebuilt:
    return await queries.guide(item_code=call.path["item_code"])
