"""A strict reader of `multipart/form-data` over bytes already received: the digest is checked before parsing."""

import re
from dataclasses import dataclass

from sandbox.one_window_wire import REJECTED, Refusal

_BOUNDARY = re.compile(r'multipart/form-data\s*;.*?boundary="?([^";,\s]{1,70})"?', re.IGNORECASE)
_PARAMETER = re.compile(r'\b(name|filename)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Part:
    """One part of the form."""

    name: str
    filename: str | None
    content: bytes


def _bad(rule: str) -> Refusal:
    return Refusal(REJECTED, errors=[{"field": "multipart", "rule": rule}])


def read_form(content_type: str, body: bytes) -> list[Part]:
    """All parts in order; anything outside the grammar is refused with 300."""
    match = _BOUNDARY.match(content_type)
    if match is None:
        raise _bad("缺少 boundary")
    delimiter = b"\r\n--" + match.group(1).encode("latin-1")
    pieces = (b"\r\n" + body).split(delimiter)
    if len(pieces) < 3 or pieces[0] != b"" or not pieces[-1].startswith(b"--"):
        raise _bad("格式不完整")
    parts = [_part(piece) for piece in pieces[1:-1]]
    names = [part.name for part in parts]
    if len(set(names)) != len(names):
        raise _bad("字段重复")
    return parts


def _part(piece: bytes) -> Part:
    head, separator, content = piece.partition(b"\r\n\r\n")
    if not separator or not head.startswith(b"\r\n"):
        raise _bad("格式不完整")
    for line in head.decode("utf-8", "replace").split("\r\n"):
        field, _, value = line.partition(":")
        if field.strip().lower() == "content-disposition":
            found = dict(_PARAMETER.findall(value))
            if "name" in found:
                return Part(name=found["name"], filename=found.get("filename"), content=content)
    raise _bad("缺少 Content-Disposition")
