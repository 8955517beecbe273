"""Files people hand in: taking one in, looking at one's own, and forgetting what no case uses.

Which case uses a file is not here.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec

from backend.cases import runtime
from backend.cases.models import Attachment, Material
from backend.cases.photos import formats
from backend.cases.photos.pool import CheckedPhoto
from backend.cases.ports import Verdict
from backend.identity.actor import Actor
from kernel import clock, db, ids, storage
from kernel.problems import NotFound, Problem, TooMany

RECEIVED, CLEAN, REFUSED = "received", "clean", "refused"
STORED_MIME = "image/jpeg"
KEPT_HOURS = 24
_SWEEP_BATCH = 100


class UploadQuota(TooMany):
    """One account sent more in a day than an applicant needs."""

    code, title = "upload-quota", "您今天上传的文件太多了，请明天再试，或到政务服务大厅窗口办理"


class FileInfected(formats.PhotoRefused):
    """The malware scanner refused the file."""

    status, code, title = 422, "file-infected", "这份文件带有病毒，不能使用。请用手机重新拍照上传"
    reason = "infected"


class FileNotScanned(Problem):
    """In production a file that no scanner looked at is not taken."""

    status, code, title = 503, "file-not-scanned", "文件安全检查暂时不可用，请稍后再上传"


class MaterialView(msgspec.Struct, frozen=True, kw_only=True):
    """A file as its owner sees it.

    `sha256`, `bytes` and `mime` are of what was sent, `width` and `height` of what is kept.
    """

    material_id: str
    sha256: str
    bytes: int
    mime: str
    width: int
    height: int
    state: str


class MaterialContent(msgspec.Struct, frozen=True, kw_only=True):
    """The kept picture or its thumbnail; always served as an attachment of this type, never as what was sent."""

    mime: str
    data: bytes
    etag: str


async def receive(*, actor: Actor, path: Path, bytes: int, sha256: str, head: bytes) -> MaterialView:
    """Check, clean and keep one file that lies complete at `path`; the caller removes `path` afterwards.

    The same content sent again by the same person is recognised. Raises a PhotoRefused (413/415/422), UploadQuota
    (429), PhotoCheckBusy (503).
    """
    if known := await _again(actor.account_ref, sha256):
        return view_of(known)
    material = await _open(actor.account_ref, bytes=bytes, sha256=sha256)
    try:
        kind = formats.sniff(head)
        material.mime = formats.MIME[kind]
        async with _work_file() as photo, _work_file() as thumbnail:
            checked = await runtime.get().photos.check(source=path, kind=kind, photo=photo, thumbnail=thumbnail)
            await _scan(photo)
            await _keep(material, checked, photo, thumbnail)
    except formats.PhotoRefused as refusal:
        material.state, material.refusal = REFUSED, refusal.reason
        await material.save(update_fields=["state", "refusal", "mime"])
        raise
    return view_of(material)


async def view(*, actor: Actor, material_id: str) -> MaterialView:
    """The actor's own file; NotFound for anybody else's."""
    return view_of(await _own(actor, material_id))


async def content(*, actor: Actor, material_id: str, thumbnail: bool = False) -> MaterialContent:
    """The kept picture of the actor's own file; NotFound for anybody else's."""
    material = await _own(actor, material_id)
    key = material.thumbnail_key if thumbnail else material.storage_key
    try:
        data = await storage.get(key or "")
    except (storage.ObjectMissing, ValueError):
        raise NotFound("没有找到这份材料") from None
    return MaterialContent(mime=STORED_MIME, data=data, etag=f'"{hashlib.sha256(data).hexdigest()[:32]}"')


async def sweep() -> None:
    """Forget files that no case uses and nobody sent again for a day.

    Locked and checked again one by one: a person may be submitting now.
    """
    before = clock.now() - timedelta(hours=KEPT_HOURS)
    used = "SELECT 1 FROM cases_attachment a WHERE a.material_id = m.id"
    rows = await db.fetch(
        f"SELECT m.id FROM cases_material m WHERE m.seen_at < ? AND NOT EXISTS ({used}) ORDER BY m.seen_at LIMIT ?",
        db.at(before),
        _SWEEP_BATCH,
    )
    for row in rows:
        async with db.transaction():
            material = await db.lock(Material, id=row["id"])
            if material is None or material.seen_at >= before or await Attachment.exists(material_id=material.id):
                continue
            material.state, material.refusal = REFUSED, "unused"
            await material.save(update_fields=["state", "refusal"])
        # The row goes last: if we die in between, the next sweep finds it and removes the files again.
        for key in (material.storage_key, material.thumbnail_key):
            if key:
                await storage.delete(key)
        await Material.filter(id=material.id).delete()


async def _again(account_ref: str, sha256: str) -> Material | None:
    """The same person's same content, if it is still here; touching it keeps the sweep away."""
    row = await Material.filter(account_ref=account_ref, sha256=sha256, state=CLEAN).order_by("-id").first()
    if row is None:
        return None
    touched = await Material.filter(id=row.id, state=CLEAN).update(seen_at=clock.now())
    return row if touched else None


async def _open(account_ref: str, *, bytes: int, sha256: str) -> Material:
    """Write down that a file came before it is looked at, so that refused files count against the quota as well."""
    settings = runtime.get().settings
    since = clock.now() - timedelta(hours=24)
    async with db.transaction():
        (sent,) = await db.fetch(
            "SELECT count(*) AS files, coalesce(sum(bytes), 0) AS bytes FROM cases_material WHERE account_ref = ? AND created_at > ?",
            account_ref,
            db.at(since),
        )
        if sent["files"] >= settings.upload_files_a_day or sent["bytes"] + bytes > settings.upload_mb_a_day * 1_000_000:
            raise UploadQuota(retry_after_seconds=3600)
        return await Material.create(
            ref=ids.public_id(),
            account_ref=account_ref,
            state=RECEIVED,
            sha256=sha256,
            bytes=bytes,
            mime="application/octet-stream",
            seen_at=clock.now(),
        )


async def _scan(photo: Path) -> None:
    verdict = await runtime.get().scanner.verdict(photo)
    if verdict is Verdict.INFECTED:
        raise FileInfected
    if verdict is Verdict.UNCHECKED and not runtime.get().unchecked_files_allowed:
        raise FileNotScanned(retry_after_seconds=60)


async def _keep(material: Material, checked: CheckedPhoto, photo: Path, thumbnail: Path) -> None:
    """Keys first, files second, the word "clean" last.

    A clean row has its files, and a crash leaves no file without a row.
    """
    data = await asyncio.to_thread(photo.read_bytes)
    material.storage_key, material.thumbnail_key = storage.new_key("material"), storage.new_key("thumbnail")
    await material.save(update_fields=["storage_key", "thumbnail_key"])
    await storage.put(material.storage_key, data)
    await storage.put(material.thumbnail_key, thumbnail)
    material.stored_sha256, material.stored_bytes = hashlib.sha256(data).hexdigest(), len(data)
    material.width, material.height, material.state = checked.width, checked.height, CLEAN
    await material.save()


async def _own(actor: Actor, material_id: str) -> Material:
    material = await Material.get_or_none(ref=material_id, account_ref=actor.account_ref, state=CLEAN)
    if material is None:
        raise NotFound("没有找到这份材料")
    return material


def view_of(material: Material) -> MaterialView:
    """The row as its owner sees it."""
    return MaterialView(
        material_id=material.ref,
        sha256=material.sha256,
        bytes=material.bytes,
        mime=material.mime,
        width=material.width or 0,
        height=material.height or 0,
        state=material.state,
    )


@asynccontextmanager
async def _work_file() -> AsyncIterator[Path]:
    """An empty file of ours for the child to write into; gone afterwards, however the block is left."""
    with tempfile.NamedTemporaryFile(prefix="upload-", dir=runtime.get().work_folder) as file:
        yield Path(file.name)
