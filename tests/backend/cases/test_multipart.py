"""One-shot uploads.

Any way of cutting the stream gives the same form, every trick is refused, and no temporary file survives.
"""

import asyncio
import contextlib
import hashlib
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.cases.multipart import (
    UploadFileMissing,
    UploadMalformed,
    UploadNotAForm,
    UploadTooLarge,
    receive_form,
)
from backend.cases.pacing import UploadTooSlow, paced

TYPE = "multipart/form-data; boundary=frontier"


def part(body, disposition='form-data; name="file"; filename="a.jpg"', headers=b""):
    return b"--frontier\r\nContent-Disposition: " + disposition.encode() + b"\r\n" + headers + b"\r\n" + body + b"\r\n"


def field_part(name, body):
    return part(body, f'form-data; name="{name}"')


END = b"--frontier--\r\n"
PHOTO = bytes(range(256)) * 40 + b"\r\n--frontie"


async def stream(body, size=1000):
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body, folder, *, size=1000, content_type=TYPE, **limits):
    async with receive_form(content_type=content_type, chunks=stream(body, size), folder=folder, **limits) as form:
        return form, {file.field_name: file.path.read_bytes() for file in form.files}


async def test_a_photo_and_a_field_come_through(tmp_path):
    form, contents = await read(field_part("code", "照片".encode()) + part(PHOTO) + END, tmp_path)
    file = form.only_file()
    assert contents["file"] == PHOTO
    assert (file.bytes, file.sha256) == (len(PHOTO), hashlib.sha256(PHOTO).hexdigest())
    assert file.head == PHOTO[:4096]
    assert form.fields == {"code": "照片"}


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 300), photo=st.binary(max_size=600))
def test_the_cutting_of_the_stream_does_not_matter(tmp_path_factory, size, photo):
    folder = tmp_path_factory.mktemp("cut")
    body = part(photo, headers=b"Content-Type: image/jpeg\r\n") + field_part("a", b"b") + END
    form, contents = asyncio.run(read(body, folder, size=size))
    assert contents == {"file": photo}
    assert form.fields == {"a": "b"}
    assert list(folder.iterdir()) == []


async def test_the_file_is_ours_alone_and_gone_afterwards(tmp_path):
    async with receive_form(content_type=TYPE, chunks=stream(part(PHOTO) + END), folder=tmp_path) as form:
        path = form.only_file().path
        assert path.parent == tmp_path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


@pytest.mark.parametrize("end", [0, 1, 30, 200, len(PHOTO), -1, -4])
async def test_a_body_cut_anywhere_is_refused_and_leaves_nothing(tmp_path, end):
    whole = part(PHOTO) + b"--frontier--"
    with pytest.raises(UploadMalformed):
        await read(whole[:end], tmp_path)
    assert list(tmp_path.iterdir()) == []


HOSTILE = {
    "no disposition": b"--frontier\r\nContent-Type: image/jpeg\r\n\r\nx\r\n" + END,
    "a disposition that is no form-data": part(b"x", 'attachment; name="file"; filename="a"') + END,
    "no name": part(b"x", 'form-data; filename="a.jpg"') + END,
    "an extended file name": part(b"x", "form-data; name=\"file\"; filename*=UTF-8''a.jpg") + END,
    "a name that is not UTF-8": b'--frontier\r\nContent-Disposition: form-data; name="\xff\xfe"\r\n\r\nx\r\n' + END,
    "a field that is not UTF-8": field_part("a", b"\xff\xfe\xfd") + END,
    "the same field twice": field_part("a", b"1") + field_part("a", b"2") + END,
    "the same header twice": part(b"x", headers=b'Content-Disposition: form-data; name="b"\r\n') + END,
    "base64 transfer": part(b"eA==", headers=b"Content-Transfer-Encoding: base64\r\n") + END,
    "five parts": field_part("a", b"1") * 0 + b"".join(field_part(str(n), b"1") for n in range(5)) + END,
    "ten thousand parts": b"".join(field_part(str(n), b"") for n in range(10_000)) + END,
    "nine headers": part(b"x", headers=b"".join(b"X-%d: 1\r\n" % n for n in range(9))) + END,
    "a header of 5 kB": part(b"x", headers=b"X-Long: " + b"a" * 5000 + b"\r\n") + END,
    "garbage": b"this is not a form at all",
    "another boundary": b"--other\r\n\r\n\r\n--other--\r\n",
    "only an end": b"--frontier",
    "bare line feeds": b'--frontier\nContent-Disposition: form-data; name="a"\n\n1\n--frontier--\n',
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_malformed_bodies_are_refused(tmp_path, name):
    with pytest.raises((UploadMalformed, UploadTooLarge)):
        await read(HOSTILE[name], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "multipart/mixed; boundary=frontier", "text/plain; boundary=frontier", "\xff"],
)
async def test_other_content_types_are_refused(tmp_path, content_type):
    with pytest.raises(UploadNotAForm):
        await read(part(PHOTO) + END, tmp_path, content_type=content_type)


@pytest.mark.parametrize("boundary", ["", '""', "x" * 71])
async def test_a_missing_or_endless_boundary_is_refused(tmp_path, boundary):
    with pytest.raises(UploadMalformed):
        await read(part(PHOTO) + END, tmp_path, content_type=f"multipart/form-data; boundary={boundary}")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..\\..\\a.jpg", "a\u202egpj.exe", "CON", "x" * 3000, "\U0001f600"]
)
async def test_the_name_of_a_file_has_no_influence_at_all(tmp_path, name):
    _, contents = await read(part(PHOTO, f'form-data; name="file"; filename="{name}"') + END, tmp_path)
    assert contents["file"] == PHOTO
    assert list(tmp_path.parent.glob("**/passwd")) == []


async def test_limits_hold_while_reading(tmp_path):
    with pytest.raises(UploadTooLarge):
        await read(part(b"x" * 2001) + END, tmp_path, max_file_bytes=2000)
    with pytest.raises(UploadTooLarge):
        await read(field_part("a", b"x" * 5000) + END, tmp_path)
    with pytest.raises(UploadTooLarge):
        await read(b"\r\n" * 100_000, tmp_path, max_file_bytes=2000)
    assert list(tmp_path.iterdir()) == []


async def test_no_file_or_two_files_are_not_a_photo(tmp_path):
    for body in (field_part("a", b"1") + END, part(b"1") + part(b"2") + END):
        form, _ = await read(body, tmp_path)
        with pytest.raises(UploadFileMissing):
            form.only_file()


async def test_hanging_up_in_the_middle_removes_the_file(tmp_path):
    arrived = asyncio.Event()

    async def half():
        yield (part(PHOTO) + END)[:3000]
        arrived.set()
        await asyncio.Event().wait()

    async def upload():
        async with receive_form(content_type=TYPE, chunks=half(), folder=tmp_path):
            raise AssertionError("an unfinished form was given out")

    task = asyncio.create_task(upload())
    await arrived.wait()
    assert len(list(tmp_path.iterdir())) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(tmp_path.iterdir()) == []


async def drip(times, size=10, seconds=0.02):
    for _ in range(times):
        await asyncio.sleep(seconds)
        yield b"x" * size


async def test_a_dripping_client_is_ended_at_the_first_slow_window():
    with pytest.raises(UploadTooSlow):
        async for _ in paced(drip(1000), total_seconds=60, window_seconds=0.1, min_bytes_per_second=8000):
            pass


async def test_a_steady_client_is_ended_at_the_total_only():
    with pytest.raises(UploadTooSlow):
        async for _ in paced(drip(1000, 1000, 0.01), total_seconds=0.2, window_seconds=0.1, min_bytes_per_second=1000):
            pass


async def test_a_client_that_keeps_the_pace_is_left_alone():
    got = [c async for c in paced(drip(5, 5000), total_seconds=5, window_seconds=0.5, min_bytes_per_second=8000)]
    assert len(got) == 5


@st.composite
def mutated_bodies(draw):
    """A valid body with bytes changed, cut out, doubled or put in."""
    body = bytearray(field_part("code", b"1") + part(b"x" * 300, headers=b"Content-Type: image/jpeg\r\n") + END)
    for _ in range(draw(st.integers(1, 6))):
        place, length = draw(st.integers(0, len(body))), draw(st.integers(0, 40))
        match draw(st.sampled_from(["change", "cut", "double", "insert"])):
            case "change":
                body[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "cut":
                del body[place : place + length]
            case "double":
                body[place:place] = body[place : place + length]
            case "insert":
                body[place:place] = draw(
                    st.sampled_from([b"\r\n", b"--frontier", b'"', b"\0", b"=?", b";", b"\\", b"filename*=", b"\xff"])
                )
    return bytes(body)


@settings(max_examples=400, deadline=None)
@given(body=mutated_bodies(), size=st.integers(1, 200))
def test_a_mutated_body_is_a_form_or_a_refusal_and_leaves_nothing(tmp_path_factory, body, size):
    folder = tmp_path_factory.getbasetemp() / "mutants"
    folder.mkdir(exist_ok=True)
    with contextlib.suppress(UploadMalformed, UploadTooLarge):
        asyncio.run(read(body, folder, size=size))
    assert list(folder.iterdir()) == []


@settings(max_examples=300, deadline=None)
@given(content_type=st.text(max_size=80) | st.builds("multipart/form-data; {}".format, st.text(max_size=60)))
def test_any_content_type_is_understood_or_refused(tmp_path_factory, content_type):
    with contextlib.suppress(UploadMalformed, UploadNotAForm):
        asyncio.run(read(part(PHOTO) + END, tmp_path_factory.getbasetemp(), content_type=content_type))
