"""The JSON and the headers of answers."""

from datetime import UTC, datetime

import msgspec

from kernel import clock
from miniprogram_api.answers import Answer, encode
from miniprogram_api.problems import SECURITY


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


def test_our_own_headers_are_sent_as_they_are_and_foreign_ones_are_cleaned():
    answer = Answer(b"{}", headers={**SECURITY, "X-Request-Id": "abc\r\nEvil: 1"}, content_type="text/plain")
    sent = dict(answer.processed_headers)
    assert sent[b"X-Content-Type-Options"] == b"nosniff"
    assert sent[b"content-type"] == b"text/plain"
    assert b"\r" not in sent[b"X-Request-Id"] and b"\n" not in sent[b"X-Request-Id"]
    assert b"content-type" not in dict(Answer(status=304, headers={}).processed_headers)
