"""Files: the same behaviour from the local folder and over the S3 protocol."""

import os
import re
import stat
import urllib.parse

import pytest
from aiohttp import web

from kernel import storage
from kernel.config import ConfigError, load_one
from kernel.storage import ObjectMissing, StorageSettings, StorageUnavailable
from tests.services import free_port


class FakeS3:
    """As much of the S3 protocol as one bucket needs; signatures are only looked for, not verified."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.parts: dict[int, bytes] = {}

    async def handle(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"].startswith("AWS4-HMAC-SHA256 ")
        key = urllib.parse.unquote(request.raw_path.split("?")[0].removeprefix("/bucket/"))
        if request.method == "POST" and "uploads" in request.query:
            return web.Response(
                text="<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
            )
        if request.method == "PUT" and "partNumber" in request.query:
            self.parts[int(request.query["partNumber"])] = await request.read()
            return web.Response(headers={"ETag": '"p"'})
        if request.method == "POST" and "delete" in request.query:
            gone = re.findall(r"<Key>(.*?)</Key>", await request.text())
            for key in gone:
                self.objects.pop(key, None)
            deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in gone)
            return web.Response(text=f"<DeleteResult>{deleted}</DeleteResult>")
        if request.method == "POST":
            self.objects[key] = b"".join(self.parts[number] for number in sorted(self.parts))
            return web.Response(text="<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
        if request.method == "PUT":
            self.objects[key] = await request.read()
            return web.Response(headers={"ETag": '"e"'})
        if request.method == "DELETE":  # of an upload that was given up
            return web.Response(status=204)
        if key not in self.objects:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        headers = {"ETag": '"e"', "Last-Modified": "Thu, 19 Nov 2026 02:00:00 GMT"}
        return web.Response(body=self.objects[key], headers=headers)


@pytest.fixture(params=["folder", "s3"])
async def store(request, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_place", None)
    mask = os.umask(0o022)
    if request.param == "folder":
        storage.configure(StorageSettings(), data_folder=tmp_path)
        yield tmp_path / "objects"
    else:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", FakeS3().handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        settings = StorageSettings(bucket="bucket", endpoint=f"http://127.0.0.1:{port}", access_key="a", secret_key="s")
        storage.configure(settings, data_folder=tmp_path)
        yield None
        await runner.cleanup()
    os.umask(mask)


async def pieces():
    for number in range(3):
        yield bytes([number]) * 200_000


async def test_bytes_a_file_and_a_stream_come_back_as_they_were(store, tmp_path):
    whole = b"".join([piece async for piece in pieces()])
    (tmp_path / "upload").write_bytes(whole)
    for source in (whole, tmp_path / "upload", pieces()):
        key = storage.new_key("material")
        await storage.put(key, source)
        assert await storage.get(key) == whole
        assert b"".join([piece async for piece in storage.open(key)]) == whole
        assert await storage.exists(key)


async def test_what_is_deleted_is_gone_and_may_be_deleted_again(store):
    key = storage.new_key("material")
    await storage.put(key, b"x")
    await storage.delete(key)
    await storage.delete(key)
    assert not await storage.exists(key)
    with pytest.raises(ObjectMissing):
        await storage.get(key)
    with pytest.raises(ObjectMissing):
        async for _ in storage.open(key):
            pytest.fail("there is nothing to read")


async def test_a_stream_that_breaks_leaves_nothing_behind(store):
    async def broken():
        yield b"x" * 1000
        raise ConnectionError

    key = storage.new_key("material")
    with pytest.raises(ConnectionError):
        await storage.put(key, broken())
    assert not await storage.exists(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a",
        "/etc/passwd",
        "a/../b",
        "a/./b",
        "a//b",
        "A/b",
        "a/b\0",
        "a/照片",
        "a/b.jpg/..",
        "a\\b",
        "%2e/a",
        "a/b/",
        "a/" + "x" * 65,
    ],
)
async def test_keys_are_ours_or_refused(store, key):
    for attempt in (storage.put(key, b"x"), storage.get(key), storage.delete(key), storage.exists(key)):
        with pytest.raises(ValueError, match="storage keys"):
            await attempt


def test_new_keys_spread_and_never_repeat():
    keys = {storage.new_key("material") for _ in range(1000)}
    assert len(keys) == 1000
    for kind in ("", "../x", "a/b", "照片"):
        with pytest.raises(ValueError, match="kind"):
            storage.new_key(kind)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_place", None)
    mask = os.umask(0o022)
    storage.configure(StorageSettings(), data_folder=tmp_path)
    yield tmp_path / "objects"
    os.umask(mask)


async def test_local_files_are_closed_to_others(folder):
    key = storage.new_key("material")
    await storage.put(key, b"x")
    paths = [folder, *folder.rglob("*")]
    assert len(paths) == 5
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0


async def test_a_local_file_and_the_folders_that_name_it_reach_the_disk_before_put_returns(folder, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.readlink(f"/proc/self/fd/{fd}")), real(fd))[1])
    key = storage.new_key("material")
    await storage.put(key, b"x")
    parts = key.split("/")
    assert synced == [str(folder.joinpath(*parts[:depth])) for depth in (4, 3, 2, 1, 0)]


async def test_a_store_that_fails_is_a_problem_that_may_be_retried(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_place", None)
    address = f"http://127.0.0.1:{free_port()}"
    storage.configure(
        StorageSettings(bucket="b", endpoint=address, access_key="a", secret_key="s"), data_folder=tmp_path
    )
    monkeypatch.setattr(storage, "_place", storage._place)
    for attempt in (storage.put("a/b", b"x"), storage.get("a/b"), storage.exists("a/b")):
        with pytest.raises(StorageUnavailable) as raised:
            await attempt
        assert raised.value.status == 503


async def test_a_disk_that_refuses_is_a_problem_too(folder):
    folder.joinpath("material").write_text("a file where a folder should be")
    with pytest.raises(StorageUnavailable):
        await storage.put(storage.new_key("material"), b"x")


def test_a_bucket_without_its_keys_is_a_complaint():
    with pytest.raises(ConfigError):
        load_one(StorageSettings, {"S3_BUCKET": "b"})


async def test_before_configuration_nothing_is_stored(monkeypatch):
    monkeypatch.setattr(storage, "_place", None)
    with pytest.raises(RuntimeError):
        await storage.put("a/b", b"x")
