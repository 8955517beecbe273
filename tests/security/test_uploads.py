"""Photos from strangers through the real API process: hostile files, hostile forms, cut lines, and what they cost us."""

import asyncio
import base64
import hashlib
import io
import os
import random
import re
from pathlib import Path

import pytest
from PIL import Image

from tests.backend.cases.hostile import CLEANED, MARK, REFUSED, jpeg, photo_with_gps
from tests.security.stage import Answer, Caller, Stage
from tests.security.wire import exchange, hang_up_after, head

MEGA = 1_000_000
_SENDERS: dict[int, Caller] = {}
_sent = 0


async def sender(stage: Stage) -> Caller:
    """Somebody who has not used up the uploads of this minute."""
    global _sent
    _sent += 1
    turn = _sent // 40
    if turn not in _SENDERS or _SENDERS[turn].base != stage.stack.api:
        _SENDERS[turn] = await stage.citizen(f"sender-{turn}")
    return _SENDERS[turn]


async def send_form(stage: Stage, body: bytes, content_type: str = "multipart/form-data; boundary=b") -> Answer:
    """A form that was written by hand."""
    caller = await sender(stage)
    return await caller.send("POST", "/api/v1/materials", data=io.BytesIO(body), headers={"Content-Type": content_type})


def part(content: bytes, disposition: str = 'form-data; name="file"; filename="a.jpg"', *, more: str = "") -> bytes:
    return f"--b\r\nContent-Disposition: {disposition}\r\n{more}\r\n".encode() + content + b"\r\n"


def refused_clearly(answer: Answer, codes: tuple[str, ...]) -> None:
    """A person reads what to do; nothing of the file or the machine is in it."""
    assert 400 <= answer.status < 500, answer.body
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.code in codes
    assert re.search(r"[\u4e00-\u9fff]{4}", answer.json["title"])


def is_fresh(stage: Stage) -> bool:
    """The same API process as at the beginning still answers."""
    return stage.stack.child("接口").alive


# -- files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REFUSED)
async def test_every_hostile_file_is_refused_with_what_to_do(stage, name):
    content, code = REFUSED[name]
    async with asyncio.timeout(20):
        answer = await (await sender(stage)).upload(content)
    refused_clearly(answer, (code,))
    assert is_fresh(stage)


@pytest.mark.parametrize("name", CLEANED)
async def test_a_photo_comes_back_as_nothing_but_pixels(stage, name):
    """Polyglots lose their second half: script, archive, metadata and position are gone in photo and thumbnail."""
    caller = await sender(stage)
    answer = await caller.upload(CLEANED[name])
    assert answer.status == 201, answer.body
    for suffix in ("", "/thumbnail"):
        kept = (await caller.send("GET", f"/api/v1/materials/{answer.json['material_id']}{suffix}")).body
        assert MARK not in kept and b"PK\x03\x04" not in kept and b"Exif" not in kept
        with Image.open(io.BytesIO(kept), formats=["JPEG"]) as picture:
            assert not picture.getexif() and set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


async def test_a_photo_of_a_phone_loses_its_position(stage):
    caller = await sender(stage)
    sent = photo_with_gps()
    assert b"SecretPhone" in sent
    answer = await caller.upload(sent)
    kept = (await caller.send("GET", f"/api/v1/materials/{answer.json['material_id']}")).body
    assert b"SecretPhone" not in kept
    assert (answer.json["width"], answer.json["height"]) == (
        480,
        640,
    )  # turned upright before the orientation was dropped


async def test_somebody_is_served_while_heavy_photos_are_checked(stage):
    """Decoding happens in killable children: the loop of the API never waits for it."""
    heavy = [jpeg(6200, 6200) + bytes([n]) for n in range(4)]
    callers = [await sender(stage) for _ in heavy]
    uploads = asyncio.gather(*(c.upload(h) for c, h in zip(callers, heavy, strict=True)))
    served = 0
    while not uploads.done():
        async with asyncio.timeout(5):
            assert (await stage.owner.send("GET", "/api/v1/me")).status == 200
        served += 1
        await asyncio.sleep(0.02)
    assert served > 5
    assert {answer.status for answer in await uploads} == {201}


# -- names ----------------------------------------------------------------------------------------------------------------

NAMES = (
    "../../../../etc/passwd", "..\\..\\windows\\win.ini", "C:\\CON", "a.php", "a.jpg.exe", "照片📷.jpg", "\u202egpj.exe",
    "x" * 3000 + ".jpg", "a';DROP TABLE cases_case;--.jpg", "$(id).jpg", "%2e%2e%2f.jpg", ".", "",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
async def test_a_files_name_decides_nothing(stage, name):
    """It is neither kept nor used: the content is judged and stored under a key of ours."""
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    body = part(jpeg(), f'form-data; name="file"; filename="{quoted}"') + b"--b--\r\n"
    answer = await send_form(stage, body)
    assert answer.status == 201, answer.body
    data = Path(stage.stack.folder) / "data"
    stored = {p.name for p in data.rglob("*")}
    assert not [s for s in stored if "passwd" in s or "CON" in s or s.endswith((".exe", ".php", ".jpg"))]


@pytest.mark.parametrize(
    "disposition",
    [
        "form-data; name=\"file\"; filename*=UTF-8''a.jpg",
        'form-data; name="file"; filename="a.jpg"; filename*=UTF-8\'\'..%2f..%2fa.jpg',
        "attachment; filename=a.jpg",
        "form-data",
        "",
        'form-data; filename="a.jpg"',
    ],
)
async def test_an_odd_disposition_is_refused(stage, disposition):
    """`filename*` would pass the tokenizer as an ordinary field of any size."""
    refused_clearly(await send_form(stage, part(jpeg(), disposition) + b"--b--\r\n"), ("upload-malformed",))


# -- forms ----------------------------------------------------------------------------------------------------------------

FORMS = {
    "cut off inside the file": (part(jpeg())[:-200], "upload-malformed"),
    "cut off before the last boundary": (part(jpeg()), "upload-malformed"),
    "cut off inside a header": (b"--b\r\nContent-Dispo", "upload-malformed"),
    "nothing": (b"", "upload-malformed"),
    "no boundary inside": (b"x" * 5000, "upload-malformed"),
    "ten thousand parts": (part(b"", 'form-data; name="a"') * 10_000 + b"--b--\r\n", "upload-malformed"),
    "ten thousand headers": (part(jpeg(), more="X-A: 1\r\n" * 10_000) + b"--b--\r\n", "upload-malformed"),
    "a header without end": (b"--b\r\nContent-Disposition: form-data; name=" + b"a" * 500_000, "upload-malformed"),
    "a huge field": (part(b"x" * 1_000_000, 'form-data; name="a"') + b"--b--\r\n", "upload-too-large"),
    "two files": (part(jpeg()) * 2 + b"--b--\r\n", "upload-file-missing"),
    "only a field": (part(b"1", 'form-data; name="a"') + b"--b--\r\n", "upload-file-missing"),
    "one field twice": (part(b"1", 'form-data; name="a"') * 2 + part(jpeg()) + b"--b--\r\n", "upload-malformed"),
    "a field that is no text": (part(b"\xff\xfe", 'form-data; name="a"') + part(jpeg()) + b"--b--\r\n", "upload-malformed"),
    "a coded file": (part(jpeg(), more="Content-Transfer-Encoding: base64\r\n") + b"--b--\r\n", "upload-malformed"),
    "one header twice": (
        part(jpeg(), more="Content-Disposition: form-data; name=x; filename=y\r\n") + b"--b--\r\n", "upload-malformed",
    ),
    "a part after the end": (part(jpeg()) + b"--b--\r\n" + part(jpeg()) + b"--b--\r\n", "upload-malformed"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
async def test_a_broken_form_is_refused_and_leaves_no_file(stage, name):
    body, code = FORMS[name]
    answer = await send_form(stage, body)
    if name == "a part after the end" and answer.status == 201:
        return  # what follows the last boundary is an epilogue (RFC 2046) that nobody reads
    refused_clearly(answer, (code, "upload-malformed"))
    assert not list((Path(stage.stack.folder) / "data" / "uploads").glob("upload-*"))


@pytest.mark.parametrize(
    ("content_type", "codes"),
    [
        ("multipart/form-data", ("upload-malformed",)), ("multipart/form-data; boundary=", ("upload-malformed",)),
        ("multipart/form-data; boundary=" + "b" * 71, ("upload-malformed",)), ("multipart/mixed; boundary=b", ("upload-not-a-form",)),
        ("multipart/form-data; charset=zip; boundary=b", ()), ("image/jpeg", ("upload-not-a-form",)),
        ("multipart/form-data; boundary=b; boundary=c", ()), ("application/x-www-form-urlencoded", ("upload-not-a-form",)),
        ("m\xfcltipart/form-data; boundary=b", ("upload-not-a-form",)), (";;;=;", ("upload-not-a-form",)),
    ],
)  # fmt: skip
async def test_an_odd_content_type_is_refused_or_harmless(stage, content_type, codes):
    answer = await send_form(stage, part(jpeg()) + b"--b--\r\n", content_type)
    if codes:
        refused_clearly(answer, codes)
    else:
        assert answer.status in (201, 400)


# -- cost -----------------------------------------------------------------------------------------------------------------


def memory(pid: int, name: str = "VmRSS") -> int:
    """Bytes from /proc."""
    return int(re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[1]) * 1024


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found]


@pytest.mark.parametrize("door", ["nginx", "api alone"])
async def test_twenty_photos_of_9_mb_at_once_cost_less_than_80_mb(stage, door):
    """The body goes to disk as it comes in; pictures are decoded by children, whose memory is theirs."""
    base = stage.stack.api if door == "nginx" else stage.stack.api_direct
    pid = stage.stack.api_pid()
    photos = [jpeg(3000, 2250) + os.urandom(9 * MEGA - 200_000) for _ in range(20)]
    callers = [await sender(stage) for _ in photos]
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the high-water mark begins anew
    before = memory(pid)
    answers = await asyncio.gather(*(c.upload(p, base=base) for c, p in zip(callers, photos, strict=True)))
    growth = memory(pid, "VmHWM") - before
    peaks = [round(memory(child, "VmHWM") / MEGA) for child in children(pid)]
    print(
        f"{door}: the API grew by {growth / MEGA:.1f} MB from {before / MEGA:.1f} MB; its children's peaks {peaks} MB"
    )
    assert {a.status for a in answers} == {201}
    assert growth < 80 * MEGA


async def test_refused_uploads_break_nobody_elses_request(stage):
    """Behind nginx many people share few connections: an upload refused half-way must not reset the next one's."""
    too_big, no_form = b"\xff\xd8\xff" + b"\0" * 10_700_000, io.BytesIO
    strangers = [stage.caller() for _ in range(4)]
    callers = [await sender(stage) for _ in range(4)]

    async def trouble(n: int) -> set[int]:
        answers = [
            await strangers[n].upload(too_big),
            await callers[n].upload(too_big),
            await callers[n].send("POST", "/api/v1/materials", data=no_form(too_big), headers={"Content-Type": "image/jpeg"}),
            await callers[n].send("PATCH", f"/api/v1/uploads/{'a' * 26}", data=no_form(too_big), headers={"Upload-Offset": "0"}),
        ]  # fmt: skip
        return {a.status for a in answers}

    work = asyncio.gather(*(trouble(n) for n in range(4)))
    honest: list[int] = []
    while not work.done():
        honest.append((await stage.owner.send("POST", "/api/v1/messages/read", json={"message_nos": []})).status)
    assert set.union(*await work) == {401, 404, 413, 415}
    assert len(honest) > 5
    assert set(honest) == {200}


# -- cut and slow lines ------------------------------------------------------------------------------------------------------


def announce(content: bytes) -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(content).hexdigest().encode()).decode()
    return {"Upload-Length": str(len(content)), "Upload-Metadata": f"sha256 {digest}"}


@pytest.mark.parametrize("door", ["nginx", "api alone"])
@pytest.mark.parametrize("seed", range(3))
async def test_an_upload_cut_at_any_byte_goes_on_from_the_last_confirmed_one(stage, door, seed):
    """Parts that were cut, parts whose answer was lost, parts sent twice: the photo arrives as it was."""
    chance = random.Random(seed)
    content = jpeg(1200, 900) + chance.randbytes(1_500_000)
    caller = await stage.citizen(f"cut-{door[:3]}-{seed}")
    port = stage.nginx.port if door == "nginx" else stage.stack.api_port
    created = await caller.send("POST", "/api/v1/uploads", headers=announce(content))
    path = f"/api/v1/uploads/{created.json['upload_id']}"
    cuts = 0
    while True:
        told = await caller.send("HEAD", path)
        assert told.status == 200
        offset = int(told.headers["Upload-Offset"])
        if offset == len(content):
            break
        piece = content[offset : offset + chance.randrange(50_000, 400_000)]
        headers = {
            "Authorization": f"Bearer {caller.token}", "Upload-Offset": str(offset),
            "Content-Type": "application/offset+octet-stream", "Content-Length": str(len(piece)),
        }  # fmt: skip
        method = chance.choice(["PATCH", "POST"])
        if method == "POST":
            headers["X-HTTP-Method-Override"] = "PATCH"
        request = head(method, path, headers) + piece
        if cuts < 12 and chance.random() < 0.6:
            cuts += 1
            await hang_up_after(port, request[: chance.randrange(1, len(request) + 1)])
            await asyncio.sleep(0.05)
            continue
        reply = await exchange(port, request.replace(b"Host: api", b"Host: api\r\nConnection: close"), seconds=20)
        assert reply.status in (200, 409), reply.raw[:300]  # 409: the part whose answer was lost had arrived
    finished = await caller.send("POST", path + "/completion")
    assert finished.status == 200, finished.body
    assert finished.json["material"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert cuts > 0


async def test_of_two_phones_at_one_offset_one_wins_and_the_other_is_told_where_to_go_on(stage):
    content = jpeg(800, 600)
    caller = await stage.citizen("two-phones")
    created = await caller.send("POST", "/api/v1/uploads", headers=announce(content))
    path, part_headers = f"/api/v1/uploads/{created.json['upload_id']}", {"Upload-Offset": "0"}
    answers = await asyncio.gather(
        *(caller.send("PATCH", path, data=content[:1000], headers=part_headers) for _ in range(5))
    )
    assert sorted(a.status for a in answers) == [200, 409, 409, 409, 409]
    assert {a.json["offset"] for a in answers} == {1000}


async def test_a_part_that_was_damaged_on_the_way_is_asked_for_again(stage):
    content = jpeg(800, 600)
    caller = await stage.citizen("damaged")
    created = await caller.send("POST", "/api/v1/uploads", headers=announce(content))
    path = f"/api/v1/uploads/{created.json['upload_id']}"
    wrong = {"Upload-Offset": "0", "Upload-Checksum": "sha256 " + base64.b64encode(b"\0" * 32).decode()}
    refused_clearly(await caller.send("PATCH", path, data=content, headers=wrong), ("upload-part-damaged",))
    assert (await caller.send("HEAD", path)).headers["Upload-Offset"] == "0"


async def test_a_file_that_is_not_the_announced_one_is_refused_as_a_whole(stage):
    content = jpeg(800, 600)
    caller = await stage.citizen("swapped")
    created = await caller.send("POST", "/api/v1/uploads", headers=announce(content))
    path = f"/api/v1/uploads/{created.json['upload_id']}"
    other = content[:-1] + b"!"
    refused_clearly(await caller.send("PATCH", path, data=other, headers={"Upload-Offset": "0"}), ("upload-damaged",))
    assert (await caller.send("HEAD", path)).status == 404


async def test_dripping_clients_are_sent_away(stage):
    """One byte a second keeps every inactivity timer alive for ever; the pace of an upload and nginx's header limit do not care."""
    caller = await stage.citizen("dripping")
    upload = head("POST", "/api/v1/materials", {
        "Authorization": f"Bearer {caller.token}", "Content-Length": "5000000",
        "Content-Type": "multipart/form-data; boundary=b", "Connection": "close",
    })  # fmt: skip
    form = part(jpeg())
    drops = [form[n : n + 10] for n in range(0, 400, 10)]
    headers = [b"GET /api/v1/items HTTP/1.1\r\n", *([b"X-Drop: 1\r\n"] * 40)]
    dripping, stalled, header_drip = await asyncio.gather(
        exchange(stage.stack.api_port, upload, *drops, pause=1.0, seconds=38),
        exchange(stage.nginx.port, upload, form[:100], seconds=12),
        exchange(stage.nginx.port, *headers, pause=1.0, seconds=15),
    )
    assert dripping.closed and dripping.status == 408
    assert "网络太慢".encode() in dripping.raw
    assert stalled.closed and stalled.status in (None, 408)
    assert header_drip.closed and header_drip.status in (None, 408)
