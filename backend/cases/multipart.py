"""One-shot uploads.

Multipart/form-data read as a stream, with our own limits, into temporary files that never outlive the request.

Knows no web framework: it takes the Content-Type and an asynchronous iterator of chunks. python-multipart only splits
the stream into tokens; every guard is here, because the tokenizer neither limits parts nor notices a body that was cut
off.
"""

import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from backend.cases.photos.formats import HEAD_BYTES
from kernel.problems import Problem

MAX_FILE_BYTES = 10_500_000
MAX_PARTS = 4
MAX_FIELD_BYTES = 4096
MAX_HEADERS = 8
MAX_HEADER_BYTES = 4096
# Boundaries and part headers of the allowed number of parts; anything beyond is padding.
_OVERHEAD_BYTES = 64 * 1024


class UploadMalformed(Problem):
    """The body is not a well-formed, complete multipart form."""

    status, code, title = 400, "upload-malformed", "上传的内容不完整或格式有误，请重新上传"


class UploadTooLarge(Problem):
    """A file, field or the whole body is over its limit."""

    status, code, title = 413, "upload-too-large", "文件太大，每个文件不能超过 10 MB。请用小程序拍照上传，会自动压缩"


class UploadNotAForm(Problem):
    """The request is not multipart/form-data."""

    status, code, title = 415, "upload-not-a-form", "请用上传文件的方式提交照片"


class UploadFileMissing(Problem):
    """The form holds no file, or more than one."""

    status, code, title = 422, "upload-file-missing", "没有收到照片，请选择一张照片后上传"


@dataclass(frozen=True, kw_only=True)
class UploadedFile:
    """One received file: where its bytes are, how many, their SHA-256 and the first of them.

    Its name is not kept: nothing needs it.
    """

    field_name: str
    path: Path
    head: bytes
    sha256: str
    bytes: int


@dataclass
class Form:
    """A complete form."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[UploadedFile] = field(default_factory=list)

    def only_file(self) -> UploadedFile:
        """The one file of a photo upload; raises UploadFileMissing."""
        if len(self.files) != 1:
            raise UploadFileMissing
        return self.files[0]


@asynccontextmanager
async def receive_form(
    *,
    content_type: str,
    chunks: AsyncIterator[bytes],
    folder: Path,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> AsyncIterator[Form]:
    """Read a whole form; the files exist until the `async with` block is left, however it is left.

    Raises UploadNotAForm, UploadMalformed or UploadTooLarge, always after the temporary files are gone.
    """
    reader = _Reader(_boundary(content_type), folder, max_file_bytes)
    try:
        received = 0
        async for chunk in chunks:
            received += len(chunk)
            if received > max_file_bytes + _OVERHEAD_BYTES:
                raise UploadTooLarge
            reader.feed(chunk)
        yield reader.finish()
    finally:
        # BaseException too: a person who hangs up cancels the task, and the file must go with it.
        reader.remove_files()


def _boundary(content_type: str) -> bytes:
    try:
        kind, options = parse_options_header(content_type)
    except (ValueError, UnicodeError, IndexError):
        raise UploadNotAForm from None
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data":
        raise UploadNotAForm
    if not 1 <= len(boundary) <= 70:  # RFC 2046
        raise UploadMalformed
    return boundary


class _Reader:
    """Callbacks of the tokenizer, and the state between them. Headers and data arrive in pieces of any size."""

    def __init__(self, boundary: bytes, folder: Path, max_file_bytes: int) -> None:
        self._folder, self._max_file_bytes = folder, max_file_bytes
        self._form = Form()
        self._paths: list[Path] = []
        self._parts = 0
        self._ended = False
        self._header_name, self._header_value = bytearray(), bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._text: bytearray | None = None
        self._file: _OpenFile | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
            max_header_count=MAX_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )

    def feed(self, chunk: bytes) -> None:
        """Give the next bytes to the tokenizer."""
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise UploadMalformed from None

    def finish(self) -> Form:
        """The form, if the closing boundary was seen; the tokenizer itself accepts a body that was cut off."""
        if not self._ended:
            raise UploadMalformed
        return self._form

    def remove_files(self) -> None:
        """Close and unlink everything written for this request."""
        if self._file is not None:
            self._file.close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def _part_begin(self) -> None:
        self._parts += 1
        if self._ended or self._parts > MAX_PARTS:
            raise UploadMalformed
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        name = bytes(self._header_name).lower()
        if name in self._headers:
            raise UploadMalformed
        self._headers[name] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _headers_finished(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        # `filename*` is not understood by the tokenizer: such a file would pass as a form field of any size.
        if disposition != b"form-data" or b"filename*" in self._headers.get(b"content-disposition", b"").lower():
            raise UploadMalformed
        if self._headers.get(b"content-transfer-encoding", b"binary").lower() not in (b"binary", b"8bit", b"7bit"):
            raise UploadMalformed
        try:
            self._name = options[b"name"].decode()
        except (KeyError, UnicodeDecodeError):
            raise UploadMalformed from None
        if b"filename" in options:
            self._file = _OpenFile(self._folder, self._max_file_bytes)
            self._paths.append(self._file.path)
        else:
            self._text = bytearray()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
        elif self._text is not None:
            self._text += data[start:end]
            if len(self._text) > MAX_FIELD_BYTES:
                raise UploadTooLarge("表单里的文字太长")

    def _part_end(self) -> None:
        if self._file is not None:
            self._form.files.append(self._file.done(self._name))
            self._file = None
        elif self._text is not None:
            if self._name in self._form.fields:
                raise UploadMalformed
            try:
                self._form.fields[self._name] = self._text.decode()
            except UnicodeDecodeError:
                raise UploadMalformed from None
            self._text = None

    def _end(self) -> None:
        self._ended = True


class _OpenFile:
    """A temporary file of ours: opened exclusively, readable by us alone, hashed while it is written."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        descriptor, name = tempfile.mkstemp(prefix="upload-", dir=folder)  # O_EXCL, mode 0600
        self.path = Path(name)
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._bytes = 0
        self._hash = hashlib.sha256()
        self._head = b""

    def write(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            raise UploadTooLarge
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
        self._hash.update(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def done(self, field_name: str) -> UploadedFile:
        self.close()
        return UploadedFile(
            field_name=field_name, path=self.path, bytes=self._bytes, sha256=self._hash.hexdigest(), head=self._head
        )

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
