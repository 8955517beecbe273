"""Photos in one request: streamed, checked, answered with what was kept."""

from backend.cases import materials, receiving
from backend.cases.materials import MaterialView
from miniprogram_api.endpoints import PHOTOGRAPHERS, Call, Raw, endpoint

_TAG = "材料"
_MOST = 11 * 1024 * 1024


@endpoint(
    "POST", "/materials", summary="上传一张照片（wx.uploadFile）", tag=_TAG, roles=PHOTOGRAPHERS, answer=MaterialView, status=201,
    streamed=True, limit="60/minute", max_body=_MOST,
)  # fmt: skip
async def upload(call: Call) -> MaterialView:
    assert call.stream is not None  # noqa: S101 - a streamed endpoint always has one
    return await receiving.one_shot(
        actor=call.actor, content_type=call.headers.get("content-type", ""), chunks=call.stream
    )


@endpoint(
    "GET",
    "/materials/{material_id}",
    summary="查看自己上传的照片",
    tag=_TAG,
    roles=PHOTOGRAPHERS,
    raw_answer="image/jpeg",
    etag=True,
)
async def photo(call: Call) -> Raw:
    return _picture(await materials.content(actor=call.actor, material_id=call.path["material_id"]))


@endpoint(
    "GET",
    "/materials/{material_id}/thumbnail",
    summary="缩略图",
    tag=_TAG,
    roles=PHOTOGRAPHERS,
    raw_answer="image/jpeg",
    etag=True,
)
async def thumbnail(call: Call) -> Raw:
    return _picture(await materials.content(actor=call.actor, material_id=call.path["material_id"], thumbnail=True))


def _picture(content: materials.MaterialContent) -> Raw:
    return Raw(
        body=content.data,
        content_type=content.mime,
        headers={"ETag": content.etag, "Content-Disposition": "attachment", "Cache-Control": "private, no-cache"},
    )
