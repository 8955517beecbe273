"""The JSON and the headers of answers."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec
import pytest

from backend.catalog.views import Prebuilt
from kernel import clock
from miniprogram_api import callbacks
from miniprogram_api.answers import encode, present
from miniprogram_api.endpoints import PUBLIC, Endpoint, Raw
from miniprogram_api.problems import SECURITY
from payments import Ack


class Thing(msgspec.Struct):
    at: datetime
    name: str


def test_instants_are_told_in_beijing_time_to_the_second_wherever_they_come_from():
    instant = datetime(2026, 11, 20, 16, 30, 5, 123456, tzinfo=UTC)
    told = b'"at":"2026-11-21T00:30:05+08:00"'
    assert told in encode(Thing(instant, "张"))
    assert told in encode(Thing(clock.local(instant), "张"))
    mixed = encode([Thing(clock.local(instant), "+00:00"), Thing(instant, "张")])
    assert mixed.count(told) == 2 and "张".encode() in mixed


ROW = Endpoint(
    method="GET", path="/thing", handler=None, summary="", tag="", roles=PUBLIC, body=None, query=None, answer=Thing,
    status=200, idempotent=False, etag=True, streamed=False, limit=None, raw_answer=None, max_body=1, prefix="",
)  # fmt: skip
PREBUILT = Prebuilt(body=b'{"a":1}', etag='"abc"')


def asked(**headers):
    return SimpleNamespace(headers={name.replace("_", "-"): value for name, value in headers.items()})


def sent(answer):
    """The headers as they go over the wire; the framework adds the last two in its own way."""
    answer.headers["connection"], answer.headers["content-length"] = "keep-alive", len(answer.body)
    names = [name.lower() for name, _ in answer.processed_headers]
    assert len(names) == len(set(names)), "no header twice"
    return {name.lower().decode(): value.decode() for name, value in answer.processed_headers}


ANSWERS = {
    "a struct": (ROW, Thing(datetime(2026, 11, 20, tzinfo=UTC), "张"), "application/json; charset=utf-8", "no-cache"),
    "a command's": (replace(ROW, etag=False, status=201), Thing(datetime(2026, 11, 20, tzinfo=UTC), "张"),
                    "application/json; charset=utf-8", "no-store"),
    "the catalogue's": (ROW, PREBUILT, "application/json; charset=utf-8", "public, max-age=60"),
    "a photo": (ROW, Raw(body=b"x", content_type="image/jpeg", headers={"Cache-Control": "private"}), "image/jpeg", "private"),
    "a partner's": (replace(ROW, etag=False), Raw(body=b"x"), "application/json; charset=utf-8", "no-store"),
    "nothing": (replace(ROW, etag=False, status=204), None, None, "no-store"),
    "an upload's": (replace(ROW, etag=False), Raw(body=b"", status=204, headers={"Upload-Offset": "3"}), None, "no-store"),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_carries_what_every_answer_must(name):
    row, value, kind, keep = ANSWERS[name]
    answer = present(row, value, asked(), "abcdefgh")
    told = sent(answer)
    assert {name.lower(): text for name, text in SECURITY.items()}.items() <= told.items()
    assert (told["x-request-id"], told["connection"]) == ("abcdefgh", "keep-alive")
    assert (told.get("content-type"), told["cache-control"]) == (kind, keep)
    assert told["content-length"] == str(len(answer.body))
    assert ("etag" in told) == row.etag


@pytest.mark.parametrize("name", [name for name, (row, *_) in ANSWERS.items() if row.etag])
def test_who_has_it_already_gets_304_without_a_body(name):
    row, value, _, keep = ANSWERS[name]
    tag = sent(present(row, value, asked(), "abcdefgh"))["etag"]
    for wanted in (tag, "W/" + tag, f'"other", {tag}'):
        again = present(row, value, asked(if_none_match=wanted), "abcdefgh")
        assert (again.status, again.body) == (304, b"")
        told = dict(again.processed_headers)
        assert told[b"ETag"] == tag.encode() and told[b"Cache-Control"] == keep.encode()
        assert b"content-type" not in told
    assert present(row, value, asked(if_none_match='"other"'), "abcdefgh").status == 200


def test_an_etag_of_the_endpoint_is_kept():
    assert sent(present(ROW, PREBUILT, asked(), "abcdefgh"))["etag"] == '"abc"'
    photo = Raw(body=b"x", headers={"ETag": '"mine"'})
    assert sent(present(ROW, photo, asked(), "abcdefgh"))["etag"] == '"mine"'
    assert sent(present(replace(ROW, etag=False), photo, asked(), "abcdefgh"))["etag"] == '"mine"'


def test_what_others_wrote_ends_no_header():
    answer = present(ROW, Raw(body=b"x", headers={"Upload-Metadata": "abc\r\nEvil: 1"}), asked(), "abcdefgh")
    answer.headers["Vary"] = "Origin\r\nEvil: 2"  # a middleware's
    told = dict(answer.processed_headers)
    assert told[b"Upload-Metadata"] == b"abcEvil: 1" and told[b"Vary"] == b"OriginEvil: 2"


@pytest.mark.parametrize(
    ("headers", "kind"), [({"Content-Type": "text/xml"}, "text/xml"), ({}, "application/octet-stream")]
)
def test_a_partner_is_told_one_content_type(headers, kind):
    raw = callbacks._in_their_words(
        Ack(status=200, headers=headers | {"X-More": "1"}, body=b"ok"), "application/octet-stream"
    )
    assert (raw.content_type, raw.headers, raw.status) == (kind, {"x-more": "1"}, 200)
