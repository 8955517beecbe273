"""Resumable uploads after the idea of tus 1.0.

Create, append at the confirmed offset, go on after any cut; the photo check is materials'.

Every part is stored under a key of its own before the offset moves, so a confirmed byte survives a crash of any process
and any host may take the next part. Nothing is appended to a shared file, so no torn end has to be repaired.
"""

import asyncio
import base64
import hashlib
import re
import tempfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec

from backend.cases import materials, runtime
from backend.cases.materials import MaterialView
from backend.cases.models import Material, Upload, UploadPart
from backend.cases.multipart import MAX_FILE_BYTES, UploadTooLarge
from backend.cases.pacing import PART_SECONDS, UploadTooSlow
from backend.cases.photos.formats import HEAD_BYTES, PhotoRefused
from backend.identity.actor import Actor
from kernel import clock, db, ids, storage
from kernel.idempotency import Idempotency, run_once
from kernel.problems import Conflict, FieldError, Invalid, NotFound, Problem, TooMany

# What the edge lets through in one PATCH; it is held in memory once.
MAX_PART_BYTES = 4 << 20
MAX_PARTS = 400
MAX_OPEN = 20
KEPT_HOURS = 24
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SWEEP_BATCH = 100


class UploadOffset(Conflict):
    """The part does not begin where our confirmed bytes end; `offset` in the answer says where to go on."""

    code, title = "upload-offset", "续传位置不一致，将从已确认的位置继续"


class UploadPartDamaged(Problem):
    """The checksum of the part is wrong: nothing of it was kept, the phone sends this part again."""

    status, code, title = 422, "upload-part-damaged", "这一部分在传输中损坏，请重传这一部分"


class UploadDamaged(Problem):
    """All parts are here but they are not the announced file."""

    status, code, title = 422, "upload-damaged", "文件在传输中损坏，请重新上传"


class UploadsTooMany(TooMany):
    """Too many unfinished uploads of one account."""

    code, title = "upload-too-many-open", "您有太多没有传完的文件，请先完成或稍后再试"


class UploadView(msgspec.Struct, frozen=True, kw_only=True):
    """How far an upload has come; `material` is there once the file is complete and clean."""

    upload_id: str
    length: int
    offset: int
    material: MaterialView | None = None


async def create(*, actor: Actor, length: int, sha256: str, idem: Idempotency | None = None) -> UploadView:
    """Announce a file of `length` bytes with the SHA-256 in hex. Raises Invalid, UploadTooLarge, UploadsTooMany."""
    if length > MAX_FILE_BYTES:
        raise UploadTooLarge
    errors = []
    if length < 1:
        errors.append(FieldError("/length", "文件是空的，请重新拍照"))
    if not _SHA256.fullmatch(sha256):
        errors.append(FieldError("/sha256", "应为 64 位小写十六进制的 SHA-256"))
    if errors:
        raise Invalid(errors=errors)

    async def work() -> UploadView:
        if await Upload.filter(account_ref=actor.account_ref, material_ref=None).count() >= MAX_OPEN:
            raise UploadsTooMany(retry_after_seconds=600)
        row = await Upload.create(ref=ids.public_id(), account_ref=actor.account_ref, length=length, sha256=sha256)
        return UploadView(upload_id=row.ref, length=length, offset=0)

    return await run_once(idem, UploadView, work)


async def status(*, actor: Actor, upload_id: str) -> UploadView:
    """Where to go on; NotFound for anybody else's upload and for one that was forgotten after a day."""
    return await _view(await _own(actor, upload_id))


async def append(
    *, actor: Actor, upload_id: str, offset: int, chunks: AsyncIterator[bytes], checksum: str | None = None
) -> UploadView:
    """Add one part at the confirmed offset; the last part answers with the checked material.

    `checksum` is tus' "sha256 <base64>". Raises UploadOffset (409, extra.offset), UploadPartDamaged, UploadTooSlow,
    UploadTooLarge, and what `materials.receive` raises.
    """
    row = await _own(actor, upload_id)
    _at(row, offset)
    data = await _read_part(chunks, most=min(MAX_PART_BYTES, row.length - offset))
    _check_part(data, checksum)
    if data:
        row = await _confirm(row, offset, data)
    return await finish(actor=actor, upload_id=upload_id) if row.confirmed == row.length else await _view(row)


async def finish(*, actor: Actor, upload_id: str) -> UploadView:
    """Check the complete file; may be repeated.

    Raises UploadOffset while parts are missing, UploadDamaged, and the refusals of a photo.
    """
    row = await _own(actor, upload_id)
    if row.confirmed != row.length:
        raise UploadOffset(extra={"offset": row.confirmed})
    return await _view(row if row.material_ref is not None else await _complete(actor, row))


async def _complete(actor: Actor, row: Upload) -> Upload:
    try:
        material = await _take_in(actor, row)
    except (PhotoRefused, UploadDamaged, storage.ObjectMissing) as error:
        # A phone that lost patience asked twice: the faster request has taken the parts away and left its material.
        done = await _own(actor, row.ref)
        if done.material_ref is not None:
            return done
        await _forget(row)  # what is wrong with it will not get better by going on
        if isinstance(error, storage.ObjectMissing):
            raise UploadDamaged from None
        raise
    row.material_ref = material.material_id
    await row.save(update_fields=["material_ref"])
    await _drop_parts(row)
    return row


async def sweep() -> None:
    """Forget uploads that nobody finished within a day."""
    before = clock.now() - timedelta(hours=KEPT_HOURS)
    for row in await Upload.filter(created_at__lt=before).order_by("created_at").limit(_SWEEP_BATCH):
        await _forget(row)


async def _own(actor: Actor, upload_id: str) -> Upload:
    row = await Upload.get_or_none(ref=upload_id, account_ref=actor.account_ref)
    if row is None:
        raise NotFound("没有找到这次上传，请重新开始")
    return row


def _at(row: Upload, offset: int) -> None:
    if row.confirmed != offset:
        raise UploadOffset(extra={"offset": row.confirmed})


async def _read_part(chunks: AsyncIterator[bytes], *, most: int) -> bytes:
    data = bytearray()
    try:
        async with asyncio.timeout(PART_SECONDS):
            async for chunk in chunks:
                data += chunk
                if len(data) > most:
                    raise UploadTooLarge("这一部分超过了约定的大小")
    except TimeoutError:
        raise UploadTooSlow from None
    return bytes(data)


def _check_part(data: bytes, checksum: str | None) -> None:
    if checksum is None:
        return
    algorithm, _, encoded = checksum.partition(" ")
    try:
        expected = base64.b64decode(encoded, validate=True)
    except ValueError:  # no base64, or text that is no ASCII
        expected = b""
    if algorithm != "sha256" or hashlib.sha256(data).digest() != expected:
        raise UploadPartDamaged


async def _confirm(row: Upload, offset: int, data: bytes) -> Upload:
    """Bytes first, offset second. Of two writers at one offset one wins, and the other's bytes are removed again."""
    key = storage.new_key("upload")
    await storage.put(key, data)
    try:
        async with db.transaction():
            fresh = await db.lock(Upload, id=row.id)
            if fresh is None:
                raise NotFound("没有找到这次上传，请重新开始")
            _at(fresh, offset)
            if await UploadPart.filter(upload_id=row.id).count() >= MAX_PARTS:
                raise UploadTooLarge("分得太细了，请用更大的分块重新上传")
            await UploadPart.create(upload_id=row.id, position=offset, bytes=len(data), storage_key=key)
            fresh.confirmed = offset + len(data)
            await fresh.save(update_fields=["confirmed"])
            return fresh
    except (NotFound, UploadOffset, UploadTooLarge):
        # Certainly not committed. After an outage nobody knows, so the bytes stay.
        await storage.delete(key)
        raise


async def _take_in(actor: Actor, row: Upload) -> MaterialView:
    with tempfile.NamedTemporaryFile(prefix="upload-", dir=runtime.get().work_folder) as file:
        digest, head = hashlib.sha256(), b""
        for part in await UploadPart.filter(upload_id=row.id).order_by("position"):
            piece = await storage.get(part.storage_key)
            digest.update(piece)
            head += piece[: max(0, HEAD_BYTES - len(head))]
            file.write(piece)
        file.flush()
        if digest.hexdigest() != row.sha256 or file.tell() != row.length:
            raise UploadDamaged
        return await materials.receive(
            actor=actor, path=Path(file.name), bytes=row.length, sha256=row.sha256, head=head
        )


async def _drop_parts(row: Upload) -> None:
    for part in await UploadPart.filter(upload_id=row.id):
        await storage.delete(part.storage_key)
        await part.delete()


async def _forget(row: Upload) -> None:
    await _drop_parts(row)
    await Upload.filter(id=row.id).delete()


async def _view(row: Upload) -> UploadView:
    material = None
    if row.material_ref is not None:
        found = await Material.get_or_none(ref=row.material_ref, state=materials.CLEAN)
        material = materials.view_of(found) if found else None
    return UploadView(upload_id=row.ref, length=row.length, offset=row.confirmed, material=material)
