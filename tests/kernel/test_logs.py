"""What a log line may hold, and what never gets into one."""

import asyncio
import io
import json
import logging

import pytest
import structlog

from kernel import clock, logs
from kernel.logs import LogSettings


@pytest.fixture
def lines():
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    stream = io.StringIO()
    logs.configure(LogSettings(), process="test", stream=stream)

    def read() -> list[dict]:
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    read.text = stream.getvalue
    yield read
    root.handlers[:], root.level = before
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def log():
    return structlog.get_logger("kernel.test")


def test_a_line_is_json_with_time_level_process_and_chinese_as_it_is(lines):
    log().info("case.opened", case_no="620981261120101000012", outcome="已受理")
    line = lines()[0]
    assert line["event"] == "case.opened"
    assert line["case_no"] == "620981261120101000012"
    assert (line["level"], line["process"], line["logger"]) == ("info", "test", "kernel.test")
    assert line["time"].endswith("+08:00")
    assert "已受理" in lines.text()


def test_a_field_that_is_not_on_the_list_is_dropped_by_name(lines):
    log().info("x", applicant="王小芳", phone="13900000001")
    assert lines()[0]["dropped"] == ["applicant", "phone"]
    assert "王小芳" not in lines.text()


@pytest.mark.parametrize(
    "secret",
    [
        "570101198504120010",
        "57010119740923019X",
        "13900000001",
        "oAbCdEfGhIjKlMnOpQrStUvWxYz0",
        "k3J9-abcDEF_0123456789abcDEF0123456789abcdef",
        "1.a.k1.QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0123456789abc",
        "a3f5" * 16,
        "access_token=short",
        '"session_key": "tiny=="',
    ],
)
def test_what_looks_personal_or_secret_is_blanked_wherever_it_stands(lines, secret):
    value = secret.removeprefix("access_token=").removeprefix('"session_key": "').rstrip('"=')
    log().info(f"boom {secret} bang", detail=secret, where=[{"x": secret}])
    logging.getLogger("third.party").warning("failed for %s", secret)
    assert len(lines()) == 2
    assert value not in lines.text()


def test_a_number_shaped_like_a_phone_is_blanked_and_others_stay(lines):
    log().info("x", count=13900000001, duration_ms=12.5, status=200, attempts=3)
    line = lines()[0]
    assert (line["count"], line["duration_ms"], line["status"], line["attempts"]) == ("***", 12.5, 200, 3)


@pytest.mark.parametrize(
    "harmless",
    [
        "case.status_changed|case:620981261120101000012",
        "notifications.deliver:kx2m4q7zj3n5w6y2a3b4c5d6e7",
        "01J3ZQ7W8X9Y2A3B4C5D6E7F8G",
        "inbox:one-window:12",
        "payments/settlement.py:120 settle_payment",
        "2026-11-20T10:00:00.000+08:00",
    ],
)
def test_our_own_numbers_stay_readable(harmless):
    assert logs.clean(harmless) == harmless


def test_an_exception_is_its_type_and_its_way_not_its_text(lines):
    def fail() -> None:
        try:
            raise KeyError("570101198504120010 王小芳")
        except KeyError as error:
            raise ValueError("13900000001 王小芳") from error

    for logger in (log(), logging.getLogger("third.party")):
        try:
            fail()
        except ValueError:
            logger.exception("it broke")
    for line in lines():
        assert line["error"] == "ValueError < KeyError"
        assert line["where"][-1].startswith("kernel/test_logs.py:")
    assert "王小芳" not in lines.text()
    assert "Traceback" not in lines.text()


def test_the_context_of_one_unit_of_work_does_not_reach_the_next(lines):
    logs.begin_unit(request_id="r1")
    logs.bind(case_no="620981261120101000012", person=None)
    log().info("one")
    logs.begin_unit(request_id="r2")
    log().info("two")
    one, two = lines()
    assert (one["request_id"], one["case_no"]) == ("r1", "620981261120101000012")
    assert "person" not in one
    assert two["request_id"] == "r2"
    assert "case_no" not in two


def test_an_object_never_shows_its_repr(lines):
    class Person:
        def __repr__(self) -> str:
            return "王小芳"

    log().info("x", detail=Person(), where=(Person(),))
    assert lines()[0]["detail"] == "Person"
    assert "王小芳" not in lines.text()


async def test_brief_lines_wait_for_each_other_and_an_ordinary_line_lets_them_out_in_order(lines, frozen_clock):
    logs.BriefLine("request", logger="api", route="/a", status=200).write(request_id="abcdefgh", seconds=0.00154)
    assert lines() == [], "a busy process writes once for many"
    log().warning("something else")
    brief, ordinary = lines()
    assert (brief["event"], ordinary["event"]) == ("request", "something else")
    assert (brief["request_id"], brief["duration_ms"], brief["status"]) == ("abcdefgh", 1.5, 200)
    assert brief.keys() == {
        "event",
        "route",
        "status",
        "duration_ms",
        "request_id",
        "logger",
        "level",
        "process",
        "time",
    }
    told = {name: brief[name] for name in ("process", "time")}
    assert told == {name: ordinary[name] for name in ("process", "time")}, "as an ordinary line tells it"
    assert set(brief) <= logs._FIELDS
    frozen_clock.advance(seconds=3600.25)
    logs.BriefLine("request", logger="api", status=204).write(request_id="abcdefgh", seconds=1)
    await asyncio.sleep(logs._TOGETHER_SECONDS + 0.1)
    assert lines()[-1]["status"] == 204, "nobody waits long"
    assert lines()[-1]["time"] == clock.local(clock.now()).isoformat(timespec="milliseconds")


def test_brief_lines_follow_the_level(lines):
    stream = io.StringIO()
    logs.configure(LogSettings(level="warning"), process="test", stream=stream)
    logs.BriefLine("request", logger="api", status=200).write(request_id="abcdefgh", seconds=1)
    assert stream.getvalue() == ""
