"""Files under keys we generate: a local folder or an S3-compatible store. What is acknowledged survives a power cut."""

import asyncio
import os
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import obstore
import obstore.exceptions
import structlog
from obstore.store import LocalStore, S3Store

from kernel import ids
from kernel.config import setting
from kernel.problems import Problem

log = structlog.get_logger(__name__)

_KEY = re.compile(r"[a-z0-9-]{1,40}(?:/[a-z0-9-]{1,64}){1,4}(?:\.[a-z0-9]{1,8})?")
_KIND = re.compile(r"[a-z0-9-]{1,40}")
_CHUNK = 256 * 1024


class ObjectMissing(Exception):
    """No file is stored under this key."""


class StorageUnavailable(Problem):
    """The disk is full or the object store does not answer; nothing was acknowledged."""

    status, code, title = 503, "storage-unavailable", "文件暂时无法存取，请稍后再试"


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """Where files live. Without a bucket they live in a folder below DATA_FOLDER."""

    bucket: str = setting("S3_BUCKET", help="对象存储的桶；不设置则存放在 DATA_FOLDER 下的 objects 文件夹", default="")
    endpoint: str = setting("S3_ENDPOINT", help="对象存储地址，例如 https://s3.example.gov.cn", default="")
    region: str = setting("S3_REGION", help="对象存储区域", default="us-east-1")
    access_key: str = setting("S3_ACCESS_KEY", help="对象存储访问账号", default="", secret=True)
    secret_key: str = setting("S3_SECRET_KEY", help="对象存储访问密钥", default="", secret=True)

    def __post_init__(self) -> None:
        """A bucket needs an address and keys."""
        if self.bucket and not (self.endpoint and self.access_key and self.secret_key):
            raise ValueError("设置了 S3_BUCKET，就必须同时设置 S3_ENDPOINT、S3_ACCESS_KEY、S3_SECRET_KEY")


@dataclass(frozen=True)
class _Place:
    store: LocalStore | S3Store
    root: Path | None  # None: not local


_place: _Place | None = None


def configure(settings: StorageSettings, *, data_folder: Path) -> None:
    """Opens the store; called once by the wiring. In the local mode files are for this group only (umask 027)."""
    global _place
    if settings.bucket:
        _place = _Place(_s3(settings), None)
        return
    os.umask(0o027)
    root = (data_folder / "objects").absolute()
    root.mkdir(mode=0o750, parents=True, exist_ok=True)
    root.chmod(0o750)
    _place = _Place(LocalStore(root), root)


def new_key(kind: str) -> str:
    """A key nobody can guess, spread over folders: "material/k2/xq/<26 characters>". Never made from a file name."""
    if not _KIND.fullmatch(kind):
        raise ValueError("a kind is a short lower-case word")
    name = ids.public_id()
    return f"{kind}/{name[:2]}/{name[2:4]}/{name}"


async def put(key: str, data: bytes | Path | AsyncIterable[bytes]) -> None:
    """Stores bytes, a file or a stream. When this returns the content is on the disk (or with the object store)."""
    place = _ready(key)
    with _outage_becomes_a_problem(key):
        await obstore.put_async(place.store, key, data)
        if place.root is not None:
            await asyncio.to_thread(_to_disk, place.root, place.root / key)


async def get(key: str) -> bytes:
    """The whole content. Raises ObjectMissing."""
    place = _ready(key)
    with _outage_becomes_a_problem(key):
        result = await obstore.get_async(place.store, key)
        return bytes(await result.bytes_async())


async def open(key: str) -> AsyncIterator[bytes]:
    """The content in pieces: `async for piece in storage.open(key)`. Raises ObjectMissing at the first piece."""
    place = _ready(key)
    with _outage_becomes_a_problem(key):
        result = await obstore.get_async(place.store, key)
        pieces = result.stream(min_chunk_size=_CHUNK)
    async for piece in pieces:
        yield bytes(piece)


async def delete(key: str) -> None:
    """Removes the file; one that is already gone is no error."""
    place = _ready(key)
    with suppress(ObjectMissing), _outage_becomes_a_problem(key):
        await obstore.delete_async(place.store, key)


async def exists(key: str) -> bool:
    """Whether something is stored under the key."""
    place = _ready(key)
    try:
        with _outage_becomes_a_problem(key):
            await obstore.head_async(place.store, key)
    except ObjectMissing:
        return False
    return True


@contextmanager
def _outage_becomes_a_problem(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ObjectMissing(key) from None
    except obstore.exceptions.BaseError as error:
        # Its text holds addresses and answers of the store; the type is what an operator needs first.
        log.warning("storage.failed", error=type(error).__name__)
        raise StorageUnavailable(retry_after_seconds=5) from None


def _ready(key: str) -> _Place:
    if _place is None:
        raise RuntimeError("kernel.storage.configure() has not been called")
    if not _KEY.fullmatch(key):
        raise ValueError("not one of our storage keys")
    return _place


def _s3(settings: StorageSettings) -> S3Store:
    return S3Store(
        settings.bucket,
        endpoint=settings.endpoint,
        region=settings.region,
        access_key_id=settings.access_key,
        secret_access_key=settings.secret_key,
        virtual_hosted_style_request=False,
        client_options={
            "allow_http": settings.endpoint.startswith("http://"),
            "connect_timeout": "1s",
            "timeout": "30s",
        },
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=10)},
    )


def _to_disk(root: Path, path: Path) -> None:
    """The file and the folders that name it: without the latter a power cut may take the entry away again."""
    _sync(path, os.O_RDONLY)
    folder = path.parent
    while True:
        _sync(folder, os.O_RDONLY | os.O_DIRECTORY)
        if folder == root:
            return
        folder = folder.parent


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
