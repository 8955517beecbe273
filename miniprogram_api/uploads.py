"""Photos in parts (tus 1.0): an upload cut at any byte goes on from the last confirmed one."""

import base64
import hashlib
import re
from typing import Any

import msgspec

from backend.cases import uploads
from backend.cases.uploads import UploadView
from kernel.idempotency import Idempotency
from kernel.problems import FieldError, Invalid
from miniprogram_api.answers import encode
from miniprogram_api.endpoints import PHOTOGRAPHERS, Call, Raw, endpoint

_TAG = "材料"
_VERSION = {"Tus-Resumable": "1.0.0"}
_PART = 4 * 1024 * 1024
_NUMBER = re.compile(r"\d{1,12}")


@endpoint(
    "POST",
    "/uploads",
    summary="登记一次分段上传（tus 1.0：Upload-Length、Upload-Metadata 里的 sha256）",
    tag=_TAG,
    roles=PHOTOGRAPHERS,
    answer=UploadView,
    status=201,
    idempotent=True,
    limit="60/minute",
)
async def create(call: Call) -> Raw:
    length, sha256 = _announced(call.headers)
    view = await uploads.create(
        actor=call.actor, length=length, sha256=sha256, idem=_of_this_file(call, length, sha256)
    )
    return _progress(view, 201, {"Location": f"/api/v1/uploads/{view.upload_id}"})


@endpoint("HEAD", "/uploads/{upload_id}", summary="查询已确认到哪里", tag=_TAG, roles=PHOTOGRAPHERS)
async def offset(call: Call) -> Raw:
    view = await uploads.status(actor=call.actor, upload_id=call.path["upload_id"])
    headers = {**_VERSION, "Upload-Offset": str(view.offset), "Upload-Length": str(view.length)}
    return Raw(body=b"", headers=headers)


@endpoint("GET", "/uploads/{upload_id}", summary="查询上传进度和结果", tag=_TAG, roles=PHOTOGRAPHERS, answer=UploadView)
async def progress(call: Call) -> Raw:
    return _progress(await uploads.status(actor=call.actor, upload_id=call.path["upload_id"]), 200, {})


@endpoint(
    "PATCH", "/uploads/{upload_id}", summary="上传一段（从 Upload-Offset 开始）；最后一段返回材料", tag=_TAG, roles=PHOTOGRAPHERS,
    answer=UploadView, streamed=True, limit="600/minute", max_body=_PART,
)  # fmt: skip
async def append(call: Call) -> Raw:
    start = call.headers.get("upload-offset", "")
    if not _NUMBER.fullmatch(start):
        raise Invalid(errors=[FieldError("/Upload-Offset", "请求头 Upload-Offset 应为已上传的字节数")])
    assert call.stream is not None  # noqa: S101 - a streamed endpoint always has one
    view = await uploads.append(
        actor=call.actor, upload_id=call.path["upload_id"], offset=int(start), chunks=call.stream,
        checksum=call.headers.get("upload-checksum"),
    )  # fmt: skip
    return _progress(view, 200, {})


@endpoint(
    "POST",
    "/uploads/{upload_id}/completion",
    summary="所有分段到齐后再次检查（可重复）",
    tag=_TAG,
    roles=PHOTOGRAPHERS,
    answer=UploadView,
)
async def complete(call: Call) -> Raw:
    return _progress(await uploads.finish(actor=call.actor, upload_id=call.path["upload_id"]), 200, {})


def _announced(headers: Any) -> tuple[int, str]:
    """Length and digest from tus' own headers."""
    errors = []
    length = headers.get("upload-length", "")
    if not _NUMBER.fullmatch(length):
        errors.append(FieldError("/Upload-Length", "请求头 Upload-Length 应为文件的字节数"))
    pairs = dict(p.strip().partition(" ")[::2] for p in headers.get("upload-metadata", "").split(",") if p.strip())
    try:
        sha256 = base64.b64decode(pairs.get("sha256", ""), validate=True).decode("ascii")
    except ValueError:  # no base64, or text that is no ASCII
        sha256 = ""
    if len(sha256) != 64:
        errors.append(FieldError("/Upload-Metadata", "请求头 Upload-Metadata 中应有 sha256（十六进制摘要的 base64）"))
    if errors:
        raise Invalid(errors=errors)
    return int(length), sha256


def _of_this_file(call: Call, length: int, sha256: str) -> Idempotency | None:
    """The key stands for this very announcement, which is in the headers: the body of the request is empty."""
    if call.idem is None:
        return None
    whole = hashlib.sha256(f"{call.idem.request_hash} {length} {sha256}".encode()).hexdigest()
    return msgspec.structs.replace(call.idem, request_hash=whole)


def _progress(view: UploadView, status: int, headers: dict[str, str]) -> Raw:
    return Raw(body=encode(view), status=status, headers={**_VERSION, "Upload-Offset": str(view.offset), **headers})
