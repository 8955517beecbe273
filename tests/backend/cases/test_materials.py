"""Files of people.

Taken in clean or refused with advice, resumed after any cut, seen by their owner only, forgotten when unused.
"""

import asyncio
import base64
import hashlib
from pathlib import Path

import pytest

from backend.cases import handlers, materials, runtime, service, uploads
from backend.cases.contents import Draft
from backend.cases.materials import FileInfected, FileNotScanned, UploadQuota
from backend.cases.models import Material, Upload, UploadPart
from backend.cases.multipart import MAX_FILE_BYTES, UploadTooLarge, receive_form
from backend.cases.pacing import UploadTooSlow
from backend.cases.photos.formats import PhotoHeic, PhotoRefused
from backend.cases.ports import Verdict
from backend.cases.screening import MaterialChoice
from backend.cases.settings import CasesSettings
from backend.cases.uploads import UploadDamaged, UploadOffset, UploadPartDamaged, UploadsTooMany
from kernel import db, storage
from kernel.problems import Invalid, NotFound
from tests.backend.cases import hostile
from tests.backend.cases.conftest import Planner, gather, idem

PHOTO = hostile.photo_with_gps()


async def send(data, actor, tmp_path, name="sent"):
    path = tmp_path / name
    path.write_bytes(data)
    return await materials.receive(
        actor=actor, path=path, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), head=data[:4096]
    )


def stored_files(tmp_path):
    return [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]


def work_files(tmp_path):
    return list((tmp_path / "work").iterdir())


# ---------------------------------------------------------------------------------------------- one file


async def test_a_photo_is_kept_clean_with_a_thumbnail_and_nothing_of_the_original(world, tmp_path):
    view = await send(PHOTO, world.citizen, tmp_path)
    assert (view.state, view.mime, view.width, view.height) == ("clean", "image/jpeg", 480, 640)
    assert (view.sha256, view.bytes) == (hashlib.sha256(PHOTO).hexdigest(), len(PHOTO))
    big = await materials.content(actor=world.citizen, material_id=view.material_id)
    small = await materials.content(actor=world.citizen, material_id=view.material_id, thumbnail=True)
    assert len(small.data) < len(big.data)
    assert big.mime == small.mime == "image/jpeg"
    row = await Material.get()
    assert row.stored_sha256 == hashlib.sha256(big.data).hexdigest()
    assert all(b"SecretPhone" not in path.read_bytes() for path in stored_files(tmp_path))
    assert work_files(tmp_path) == []


async def test_a_refused_file_leaves_a_note_and_no_file(world, tmp_path):
    for data, refusal in ((hostile.HEIC, "heic"), (PHOTO[:900], "damaged"), (hostile.SVG, "svg"), (b"", "empty")):
        with pytest.raises(PhotoRefused):
            await send(data, world.citizen, tmp_path)
        row = await Material.all().order_by("-id").first()
        assert (row.state, row.refusal) == ("refused", refusal)
    assert stored_files(tmp_path) == []
    assert work_files(tmp_path) == []


async def test_the_same_content_of_the_same_person_is_recognised(world, tmp_path):
    first = await send(PHOTO, world.citizen, tmp_path)
    again = await send(PHOTO, world.citizen, tmp_path)
    other = await send(PHOTO, world.neighbour, tmp_path)
    assert first == again
    assert other.material_id != first.material_id
    assert len(stored_files(tmp_path)) == 4


async def test_only_the_owner_sees_a_file_and_a_refused_one_is_seen_by_nobody(world, tmp_path):
    view = await send(PHOTO, world.citizen, tmp_path)
    refused = await world.photo(state="refused")
    for actor, material_id in ((world.neighbour, view.material_id), (world.citizen, "x"), (world.citizen, refused)):
        for call in (materials.view, materials.content):
            with pytest.raises(NotFound):
                await call(actor=actor, material_id=material_id)


async def test_files_and_bytes_of_a_day_are_limited_per_person(world, tmp_path):
    strict = CasesSettings(upload_files_a_day=2, upload_mb_a_day=1)
    runtime.configure(strict, planner=Planner(), work_folder=tmp_path / "work", production=False)
    with pytest.raises(PhotoHeic):
        await send(hostile.HEIC, world.citizen, tmp_path)  # refused ones count: they cost the same work
    await send(PHOTO, world.citizen, tmp_path)
    with pytest.raises(UploadQuota):
        await send(hostile.png(), world.citizen, tmp_path)
    with pytest.raises(UploadQuota):
        await send(b"\xff\xd8\xff" + b"0" * 1_000_001, world.neighbour, tmp_path)
    world.clock.advance(hours=25)
    await send(hostile.png(), world.citizen, tmp_path)
    await runtime.close()


class Scanner:
    """A hand-written malware scanner."""

    def __init__(self, verdict):
        self.answer = verdict

    async def verdict(self, path: Path) -> Verdict:
        assert path.stat().st_size > 0
        return self.answer


async def test_an_infected_file_is_refused_and_an_unscanned_one_is_not_taken_in_production(world, tmp_path):
    cases = (
        (Scanner(Verdict.INFECTED), False, FileInfected, "refused"),
        (None, True, FileNotScanned, "received"),
        (Scanner(Verdict.CLEAN), True, None, "clean"),
    )
    for scanner, production, problem, state in cases:
        runtime.configure(
            CasesSettings(), planner=Planner(), work_folder=tmp_path / "work", production=production, scanner=scanner
        )
        if problem:
            with pytest.raises(problem):
                await send(PHOTO, world.citizen, tmp_path)
        else:
            await send(PHOTO, world.citizen, tmp_path)
        assert (await Material.all().order_by("-id").first()).state == state
        await runtime.close()


async def test_a_form_goes_all_the_way_into_a_material(world, tmp_path):
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.exe"\r\n\r\n' + PHOTO + b"\r\n--b--\r\n"

    async def chunks():
        for start in range(0, len(body), 700):
            yield body[start : start + 700]

    folder = runtime.get().work_folder
    async with receive_form(content_type="multipart/form-data; boundary=b", chunks=chunks(), folder=folder) as form:
        file = form.only_file()
        view = await materials.receive(
            actor=world.citizen, path=file.path, bytes=file.bytes, sha256=file.sha256, head=file.head
        )
    assert view.state == "clean"
    assert work_files(tmp_path) == []


# ---------------------------------------------------------------------------------------------- forgetting


async def test_unused_files_go_after_a_day_and_used_ones_stay(world, tmp_path):
    unused, used = await send(PHOTO, world.citizen, tmp_path), await send(hostile.png(), world.citizen, tmp_path)
    case_no = await world.draft()
    choice = MaterialChoice(code="PHOTO", material_ids=(used.material_id,))
    await service.save_draft(actor=world.citizen, case_no=case_no, draft=Draft(materials=(choice,)))
    world.clock.advance(hours=23)
    await handlers.sweep()
    assert await Material.all().count() == 2
    world.clock.advance(hours=2)
    await handlers.sweep()
    assert [row.ref for row in await Material.all()] == [used.material_id]
    assert len(stored_files(tmp_path)) == 2
    with pytest.raises(NotFound):
        await materials.view(actor=world.citizen, material_id=unused.material_id)


async def test_a_file_that_is_used_while_the_sweep_runs_stays(world, tmp_path, monkeypatch):
    view = await send(PHOTO, world.citizen, tmp_path)
    case_no = await world.draft()
    world.clock.advance(hours=25)
    real = db.fetch

    async def found_then_used(sql, *params):
        rows = await real(sql, *params)
        if "NOT EXISTS" in sql:
            monkeypatch.setattr(db, "fetch", real)
            choice = MaterialChoice(code="PHOTO", material_ids=(view.material_id,))
            await service.save_draft(actor=world.citizen, case_no=case_no, draft=Draft(materials=(choice,)))
        return rows

    monkeypatch.setattr(db, "fetch", found_then_used)
    await materials.sweep()
    assert (await materials.view(actor=world.citizen, material_id=view.material_id)).state == "clean"


async def test_sending_a_file_again_keeps_it_for_another_day(world, tmp_path):
    await send(PHOTO, world.citizen, tmp_path)
    world.clock.advance(hours=20)
    await send(PHOTO, world.citizen, tmp_path)
    world.clock.advance(hours=20)
    await handlers.sweep()
    assert await Material.all().count() == 1


async def test_what_a_crash_left_half_taken_is_swept_with_its_files(world, tmp_path):
    view = await send(PHOTO, world.citizen, tmp_path)
    await Material.filter(ref=view.material_id).update(state="received")
    world.clock.advance(hours=25)
    await handlers.sweep()
    assert await Material.all().count() == 0
    assert stored_files(tmp_path) == []


# ---------------------------------------------------------------------------------------------- resumable uploads


async def pieces(data, size=500):
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def announce(actor, data=PHOTO, **more):
    return await uploads.create(actor=actor, length=len(data), sha256=hashlib.sha256(data).hexdigest(), **more)


async def append(actor, upload, data, start, end, **more):
    return await uploads.append(
        actor=actor, upload_id=upload.upload_id, offset=start, chunks=pieces(data[start:end]), **more
    )


async def test_an_upload_cut_anywhere_goes_on_from_the_confirmed_byte(world, tmp_path):
    upload = await announce(world.citizen)
    await append(world.citizen, upload, PHOTO, 0, 1000)
    with pytest.raises(ConnectionResetError):

        async def torn():
            yield PHOTO[1000:1500]
            raise ConnectionResetError

        await uploads.append(actor=world.citizen, upload_id=upload.upload_id, offset=1000, chunks=torn())
    # Another process, after a restart, knows the same.
    view = await uploads.status(actor=world.citizen, upload_id=upload.upload_id)
    assert (view.offset, view.material) == (1000, None)
    view = await append(world.citizen, upload, PHOTO, 1000, len(PHOTO))
    assert view.material.state == "clean"
    assert view.material.sha256 == hashlib.sha256(PHOTO).hexdigest()
    assert await UploadPart.all().count() == 0
    assert len(stored_files(tmp_path)) == 2
    assert (await uploads.finish(actor=world.citizen, upload_id=upload.upload_id)).material == view.material


async def test_the_wrong_place_is_told_with_the_right_one(world):
    upload = await announce(world.citizen)
    await append(world.citizen, upload, PHOTO, 0, 1000)
    for start in (0, 999, 1001):
        with pytest.raises(UploadOffset) as refused:
            await append(world.citizen, upload, PHOTO, start, 2000)
        assert refused.value.extra == {"offset": 1000}
    with pytest.raises(UploadOffset):
        await uploads.finish(actor=world.citizen, upload_id=upload.upload_id)


async def test_of_two_writers_at_one_place_one_wins(world, tmp_path):
    upload = await announce(world.citizen)
    told = await gather(*(append(world.citizen, upload, PHOTO, 0, 1000) for _ in range(5)))
    assert sum(isinstance(view, uploads.UploadView) for view in told) == 1
    assert sum(isinstance(view, UploadOffset) for view in told) == 4
    assert len(stored_files(tmp_path)) == 1
    view = await append(world.citizen, upload, PHOTO, 1000, len(PHOTO))
    assert view.material is not None


async def test_a_damaged_part_is_not_kept(world):
    upload = await announce(world.citizen)
    good = "sha256 " + base64.b64encode(hashlib.sha256(PHOTO[:1000]).digest()).decode()
    for checksum in ("sha256 AAAA", "sha256 ***", "md5 AAAA", good.upper()):
        with pytest.raises(UploadPartDamaged):
            await append(world.citizen, upload, PHOTO, 0, 1000, checksum=checksum)
    assert (await append(world.citizen, upload, PHOTO, 0, 1000, checksum=good)).offset == 1000


async def test_parts_that_are_not_the_announced_file_start_over(world, tmp_path):
    upload = await announce(world.citizen)
    wrong = bytes(len(PHOTO))
    with pytest.raises(UploadDamaged):
        await append(world.citizen, upload, wrong, 0, len(wrong))
    assert stored_files(tmp_path) == []
    with pytest.raises(NotFound):
        await uploads.status(actor=world.citizen, upload_id=upload.upload_id)


async def test_a_hostile_file_in_parts_is_refused_like_a_whole_one(world, tmp_path):
    upload = await announce(world.citizen, hostile.HEIC)
    with pytest.raises(PhotoHeic):
        await append(world.citizen, upload, hostile.HEIC, 0, len(hostile.HEIC))
    assert stored_files(tmp_path) == []


async def test_more_than_announced_or_too_much_at_once_is_refused(world, monkeypatch):
    upload = await announce(world.citizen)
    with pytest.raises(UploadTooLarge):
        await append(world.citizen, upload, PHOTO + b"x", 0, len(PHOTO) + 1)
    monkeypatch.setattr(uploads, "MAX_PART_BYTES", 100)
    with pytest.raises(UploadTooLarge):
        await append(world.citizen, upload, PHOTO, 0, 101)
    monkeypatch.setattr(uploads, "MAX_PARTS", 1)
    await append(world.citizen, upload, PHOTO, 0, 100)
    with pytest.raises(UploadTooLarge):
        await append(world.citizen, upload, PHOTO, 100, 200)


@pytest.mark.parametrize(("length", "sha256"), [(0, "0" * 64), (-5, "0" * 64), (10, "x"), (10, "A" * 64)])
async def test_a_nonsense_announcement_is_refused(world, length, sha256):
    with pytest.raises(Invalid):
        await uploads.create(actor=world.citizen, length=length, sha256=sha256)


async def test_announcements_are_limited_and_repeatable(world):
    with pytest.raises(UploadTooLarge):
        await uploads.create(actor=world.citizen, length=MAX_FILE_BYTES + 1, sha256="0" * 64)
    first, again = [await announce(world.citizen, idem=idem("u", "uploads")) for _ in range(2)]
    assert first == again
    for _ in range(uploads.MAX_OPEN - 1):
        await announce(world.citizen)
    with pytest.raises(UploadsTooMany):
        await announce(world.citizen)
    await announce(world.neighbour)


async def test_a_dripping_part_is_ended(world, monkeypatch):
    monkeypatch.setattr(uploads, "PART_SECONDS", 0.05)
    upload = await announce(world.citizen)

    async def drip():
        while True:
            await asyncio.sleep(0.02)
            yield b"x"

    with pytest.raises(UploadTooSlow):
        await uploads.append(actor=world.citizen, upload_id=upload.upload_id, offset=0, chunks=drip())


async def test_a_neighbours_upload_is_as_absent_as_none(world):
    upload = await announce(world.citizen)
    for call in (
        uploads.status(actor=world.neighbour, upload_id=upload.upload_id),
        append(world.neighbour, upload, PHOTO, 0, 10),
        uploads.finish(actor=world.neighbour, upload_id=upload.upload_id),
    ):
        with pytest.raises(NotFound):
            await call


async def test_unfinished_uploads_are_forgotten_after_a_day(world, tmp_path):
    upload = await announce(world.citizen)
    await append(world.citizen, upload, PHOTO, 0, 1000)
    world.clock.advance(hours=25)
    await handlers.sweep()
    assert await Upload.all().count() == 0
    assert stored_files(tmp_path) == []


async def test_an_object_that_is_gone_is_not_found_not_a_crash(world):
    material_id = await world.photo()
    with pytest.raises(NotFound):
        await materials.content(actor=world.citizen, material_id=material_id)
    assert not await storage.exists(storage.new_key("material"))
