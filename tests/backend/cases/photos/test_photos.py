"""Photos are decoded in children that can be killed: hostile files are refused with advice, what is kept is pixels."""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest
from PIL import Image

from backend.cases.photos import child as child_program
from backend.cases.photos.formats import REFUSALS, PhotoDamaged, PhotoRefused, PhotoTooHeavy, PhotoTooManyPixels, sniff
from backend.cases.photos.pool import PhotoCheckBusy, PhotoPool
from tests.backend.cases import hostile


@pytest.fixture
async def pool():
    made = PhotoPool(workers=2)
    yield made
    await made.close()


@pytest.fixture
def check(pool, tmp_path):
    """Sniff and decode bytes as the product does; gives the answer and the two written files."""

    async def run(data, name="in"):
        source = tmp_path / name
        source.write_bytes(data)
        photo, thumbnail = tmp_path / f"{name}.photo", tmp_path / f"{name}.thumb"
        kind = sniff(data[:4096])
        return await pool.check(source=source, kind=kind, photo=photo, thumbnail=thumbnail), photo, thumbnail

    return run


async def test_every_hostile_file_is_refused_with_its_own_code_and_advice_in_chinese(check):
    wrong = {}
    for name, (data, code) in hostile.REFUSED.items():
        try:
            await check(data)
        except PhotoRefused as refusal:
            if refusal.code != code:
                wrong[name] = refusal.code
            assert refusal.status in (413, 415, 422)
            assert any("\u4e00" <= letter <= "\u9fff" for letter in refusal.detail)
        else:
            wrong[name] = "taken"
    assert wrong == {}


async def test_what_is_kept_is_new_pixels_without_one_foreign_byte(check):
    for data in hostile.CLEANED.values():
        answer, photo, thumbnail = await check(data)
        for path, side in ((photo, 1600), (thumbnail, 320)):
            kept = path.read_bytes()
            assert b"foreign-bytes" not in kept
            assert b"PK\x03\x04" not in kept
            with Image.open(path) as picture:
                assert picture.format == "JPEG"
                assert max(picture.size) <= side
                assert not picture.getexif()
                assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        with Image.open(photo) as picture:
            assert picture.size == (answer.width, answer.height)


async def test_a_phone_photo_is_turned_upright_and_forgets_where_it_was_taken(check):
    answer, photo, _ = await check(hostile.photo_with_gps(orientation=6))
    assert (answer.width, answer.height) == (480, 640)
    assert (answer.source_width, answer.source_height) == (480, 640)
    assert b"SecretPhone" not in photo.read_bytes()
    with Image.open(photo) as picture:
        assert not picture.getexif().get_ifd(0x8825)


async def test_a_large_photo_becomes_small_enough_to_send(check):
    answer, photo, thumbnail = await check(hostile.jpeg(6000, 4000))
    assert (answer.width, answer.height) == (1600, 1067)
    assert (answer.thumbnail_width, answer.thumbnail_height) == (320, 213)
    assert thumbnail.stat().st_size < photo.stat().st_size < 500_000


async def test_transparent_parts_become_white_paper(check):
    _, photo, _ = await check(hostile.png(mode="RGBA", colour=(1, 2, 3, 0)))
    with Image.open(photo) as picture:
        assert picture.getpixel((5, 5)) == (255, 255, 255)


async def test_sixteen_bit_grey_is_scaled_not_clipped(check):
    _, photo, _ = await check(hostile.png(mode="I;16", colour=40_000))
    with Image.open(photo) as picture:
        assert abs(picture.getpixel((5, 5))[0] - 40_000 // 256) <= 2


async def test_a_late_child_is_killed_and_the_next_photo_gets_a_new_one(tmp_path, monkeypatch):
    # A file that never ends: reading a named pipe blocks the child for ever.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pool = PhotoPool(workers=1, wall_seconds=0.5)
    out = {"photo": tmp_path / "p", "thumbnail": tmp_path / "t"}
    with pytest.raises(PhotoTooHeavy):
        await pool.check(source=pipe, kind="JPEG", **out)
    good = tmp_path / "good"
    good.write_bytes(hostile.jpeg())
    pool._wall_seconds = 10
    assert (await pool.check(source=good, kind="JPEG", **out)).width == 640
    await pool.close()


async def test_a_child_that_is_killed_by_the_system_refuses_only_its_own_photo(pool, tmp_path):
    pipe, good = tmp_path / "pipe", tmp_path / "good"
    os.mkfifo(pipe)
    good.write_bytes(hostile.jpeg())
    out = {"photo": tmp_path / "p", "thumbnail": tmp_path / "t"}
    stuck = asyncio.create_task(pool.check(source=pipe, kind="JPEG", **out))
    while not pool._busy:
        await asyncio.sleep(0.01)
    (victim,) = pool._busy
    os.kill(victim._process.pid, signal.SIGSEGV)
    with pytest.raises(PhotoDamaged):
        await stuck
    assert (await pool.check(source=good, kind="JPEG", **out)).height == 480


async def test_somebody_who_hangs_up_leaves_no_child_behind_with_half_an_answer(pool, tmp_path):
    pipe, good = tmp_path / "pipe", tmp_path / "good"
    os.mkfifo(pipe)
    good.write_bytes(hostile.jpeg(700, 500))
    out = {"photo": tmp_path / "p", "thumbnail": tmp_path / "t"}
    stuck = asyncio.create_task(pool.check(source=pipe, kind="JPEG", **out))
    while not pool._busy:
        await asyncio.sleep(0.01)
    stuck.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stuck
    assert not pool._busy
    assert (await pool.check(source=good, kind="JPEG", **out)).width == 700


async def test_a_child_that_burns_its_seconds_is_ended_by_its_own_limit(tmp_path):
    """The limit on scans stops this file first; with that limit taken away the processor limit stops it."""
    source = Path(child_program.__file__).read_text()
    program, heavy = tmp_path / "child.py", tmp_path / "heavy.jpg"
    program.write_text(
        source.replace("MAX_JPEG_SCANS = 200", "MAX_JPEG_SCANS = 10**9").replace("CPU_SECONDS = 5", "CPU_SECONDS = 0")
    )
    heavy.write_bytes(hostile.jpeg_with_scans(20_000))
    pool = PhotoPool(workers=1, program=program)
    with pytest.raises(PhotoTooHeavy):
        await pool.check(source=heavy, kind="JPEG", photo=tmp_path / "p", thumbnail=tmp_path / "t")
    await pool.close()


async def test_a_child_cannot_take_more_memory_than_its_share(tmp_path):
    """The limit on pixels stops this file first; with that one taken away the memory limit does."""
    source = Path(child_program.__file__).read_text()
    program, heavy = tmp_path / "child.py", tmp_path / "heavy.png"
    program.write_text(
        source.replace("40 * MEGA", "10**12")
        .replace("16 * MEGA", "10**12")
        .replace("MAX_SIDE = 10_000", "MAX_SIDE = 10**9")
    )
    heavy.write_bytes(hostile.png_claiming(40_000, 40_000))
    pool = PhotoPool(workers=1, program=program)
    with pytest.raises(PhotoTooManyPixels):
        await pool.check(source=heavy, kind="PNG", photo=tmp_path / "p", thumbnail=tmp_path / "t")
    await pool.close()


async def test_too_many_waiting_are_sent_away_with_a_hint(tmp_path, monkeypatch):
    monkeypatch.setattr("backend.cases.photos.pool.MAX_WAITING", 0)
    pool = PhotoPool()
    with pytest.raises(PhotoCheckBusy) as refused:
        await pool.check(source=tmp_path, kind="JPEG", photo=tmp_path, thumbnail=tmp_path)
    assert refused.value.retry_after_seconds
    await pool.close()


def test_refusals_have_unique_words_and_codes():
    assert len({refusal.code for refusal in REFUSALS.values()}) == len(REFUSALS)
    assert all(refusal.reason == reason for reason, refusal in REFUSALS.items())


def mutants(seed, count):
    """Valid pictures with bytes changed, cut out, doubled or spliced; the same ones for the same seed."""
    chance = random.Random(seed)
    valid = [
        hostile.jpeg(200, 150),
        hostile.jpeg(200, 150, progressive=True),
        hostile.png(200, 150),
        hostile.webp(200, 150),
    ]
    for _ in range(count):
        data = bytearray(chance.choice(valid))
        for _ in range(chance.randint(1, 8)):
            place, length = chance.randrange(len(data)), chance.randint(1, 64)
            match chance.randrange(5):
                case 0:
                    data[place] = chance.randrange(256)
                case 1:
                    del data[place : place + length]
                case 2:
                    data[place:place] = data[place : place + length]
                case 3:
                    data[place:place] = chance.randbytes(length)
                case 4:
                    other = chance.choice(valid)
                    data[place:] = other[chance.randrange(len(other)) :]
            if not data:
                break
        yield bytes(data)


async def test_a_mutated_picture_is_kept_clean_or_refused_and_the_pool_lives_on(check):
    kept = refused = 0
    for data in mutants(seed=20261119, count=250):
        try:
            _, photo, _ = await check(data)
        except PhotoRefused:
            refused += 1
            continue
        kept += 1
        with Image.open(photo) as picture:
            picture.load()
            assert picture.format == "JPEG"
            assert not picture.getexif()
    assert kept > 20
    assert refused > 20
