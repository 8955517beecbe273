"""The HTTP client of the one-window platform: one signed attempt per call, every attempt written down; no decisions."""

import re
import secrets
from dataclasses import dataclass
from typing import Any

import msgspec

from backend.onewindow import signing
from backend.onewindow.answers import Reading, Reply, read
from backend.onewindow.models import Call
from backend.onewindow.ports import runtime
from kernel import clock
from kernel.http import Answer, NoAnswer, NotSent, PartnerError

BASE_PATH = "/sysapi/ycsl/v1"
JSON_TYPE = "application/json; charset=utf-8"
MAX_FILE_BYTES = 20 * 1024 * 1024
_FILE_SECONDS = 60.0
# Whatever the platform writes may repeat what we sent: long digit runs are numbers of people.
_DIGITS = re.compile(r"[0-9]{5,}[0-9Xx]?")


@dataclass(frozen=True, kw_only=True)
class About:
    """Whose call it is, for the record; `info` is a short masked description."""

    case_no: str | None = None
    forwarding_ref: str | None = None
    info: str = ""


@dataclass(frozen=True)
class File:
    """A fetched file, already held against its digest."""

    content: bytes
    mime: str


def encode(data: Any) -> bytes:
    """The body of a JSON verb; the national profile writes keys in lower case."""
    if runtime().settings.profile == "gjzwfwpt":
        data = signing.lower_keys(data)
    return msgspec.json.encode(data)


async def send(verb: str, body: bytes, *, about: About, content_type: str = JSON_TYPE) -> Reading:
    """One attempt. Raises NotSent or NoAnswer; everything else is a Reading."""
    seconds = None if content_type == JSON_TYPE else _FILE_SECONDS
    call, answer = await _attempt(verb, body, about=about, content_type=content_type, total_seconds=seconds)
    reading = read(verb, _reply(answer))
    await _note(call, answer=answer, reading=reading)
    return reading


async def ask(verb: str, data: dict[str, Any], *, about: About) -> Reading:
    """`send` for small questions."""
    return await send(verb, encode(data), about=about)


async def put_file(
    *, project_no: str, material_code: str, name: str, mime: str, content: bytes, about: About
) -> Reading:
    """Verb `attach.put`: the digest header covers the whole multipart body, the field sha256 the file alone."""
    fields = {
        "projectNo": project_no,
        "materialId": material_code,
        "name": name,
        "mime": mime,
        "sha256": signing.digest(content),
    }
    if runtime().settings.profile == "gjzwfwpt":
        fields = signing.lower_keys(fields)
    boundary = secrets.token_hex(16)
    body = _multipart(boundary, fields, filename=name, mime=mime, content=content)
    return await send("attach.put", body, about=about, content_type=f"multipart/form-data; boundary={boundary}")


async def get_file(*, attach_id: str, about: About) -> File | Reading:
    """Verb `attach.get`: the file, or what the platform said instead. A file that misses its digest is LATER."""
    body = encode({"attachId": attach_id})
    call, answer = await _attempt(
        "attach.get", body, about=about, total_seconds=_FILE_SECONDS, max_bytes=MAX_FILE_BYTES
    )
    mime = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if answer.status == 200 and mime != "application/json":
        whole = signing.digest(answer.body) == answer.headers.get("x-ycsl-digest", "")
        reply = Reply(200, 200 if whole else None, "" if whole else "digest")
        reading = read("attach.get", reply)
        await _note(call, answer=answer, reading=reading)
        return File(answer.body, mime) if whole else reading
    reading = read("attach.get", _reply(answer))
    await _note(call, answer=answer, reading=reading)
    return reading


async def _attempt(
    verb: str,
    body: bytes,
    *,
    about: About,
    content_type: str = JSON_TYPE,
    total_seconds: float | None = None,
    max_bytes: int = 1 << 20,
) -> tuple[Call, Answer]:
    settings, partner = runtime().settings, runtime().partner
    headers = signing.signed_headers(
        profile=settings.profile,
        rid=settings.rid,
        secret=settings.secret,
        verb=verb,
        body=body,
        now_ms=clock.now_ms(),
    )
    headers["Content-Type"] = content_type
    # Written before the call: an attempt that a crash cut short stays visible as "begun".
    call = await Call.create(
        case_no=about.case_no,
        forwarding_ref=about.forwarding_ref,
        verb=verb,
        digest=headers["x-ycsl-digest"],
        info=about.info[:200],
        outcome="begun",
    )
    try:
        answer = await partner.request(
            "POST",
            f"{BASE_PATH}/{verb}",
            headers=headers,
            body=body,
            total_seconds=total_seconds,
            max_bytes=max_bytes,
            call=verb,
        )
    except PartnerError as error:
        call.outcome, call.message = _word(error), error.reason[:200]
        await _finish(call)
        raise
    return call, answer


def _word(error: PartnerError) -> str:
    return "not_sent" if isinstance(error, NotSent) else "no_answer"


async def _note(call: Call, *, answer: Answer, reading: Reading) -> None:
    call.http_status, call.code = answer.status, reading.code[:16]
    call.outcome, call.message = reading.meaning.value, mask_numbers(reading.message)[:200]
    await _finish(call)


def mask_numbers(text: str) -> str:
    """A text of the platform without the numbers of people that it may repeat."""
    return _DIGITS.sub("*", text)


async def _finish(call: Call) -> None:
    call.duration_ms = int((clock.now() - call.created_at).total_seconds() * 1000)
    await call.save()


def _reply(answer: Answer) -> Reply:
    """The envelope `{code, message, data, requestId}`; anything else (a proxy's HTML page) has no code."""
    try:
        found = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Reply(answer.status, None)
    if not isinstance(found, dict):
        return Reply(answer.status, None)
    low = signing.lower_keys(found)
    data, message = low.get("data"), low.get("message")
    return Reply(
        answer.status,
        _integer(low.get("code")),
        message if isinstance(message, str) else "",
        data if isinstance(data, dict) else {},
    )


def _integer(value: Any) -> int | None:
    """The contract says integer; numeric text is seen and accepted."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,6}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _multipart(boundary: str, fields: dict[str, str], *, filename: str, mime: str, content: bytes) -> bytes:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n'
        f"Content-Type: {mime}\r\n\r\n"
    )
    return b"".join([*parts, head.encode(), content, f"\r\n--{boundary}--\r\n".encode()])


__all__ = [
    "About",
    "File",
    "NoAnswer",
    "NotSent",
    "PartnerError",
    "ask",
    "encode",
    "get_file",
    "mask_numbers",
    "put_file",
    "send",
]
