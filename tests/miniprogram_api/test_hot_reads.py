"""What the edge does with a read whose one statement also proves the login: the same refusals, in the same order, as anywhere else."""

import asyncio
import json
from dataclasses import replace

import msgspec
import pytest

from backend.identity import login
from backend.identity.actor import Actor
from backend.identity.login import Seen
from kernel.problems import DatabaseUnavailable, FieldError, Invalid
from miniprogram_api.cycle import Cycle
from miniprogram_api.endpoints import CITIZEN
from tests.miniprogram_api.test_connections import ROW, SETTINGS


class Asked(msgspec.Struct, frozen=True):
    limit: int = 20


class Statement:
    """Stands for the one statement: answers what the test has said, and remembers what it was asked."""

    def __init__(self):
        self.answer, self.asked = Seen("citizen", 7, False, b'{"a":1}'), []

    def __call__(self, digest, path, query):
        if query.limit == 0:
            raise Invalid(errors=[FieldError("/limit", "每页至少 1 条")])
        self.asked.append((digest, path, query))
        future = asyncio.get_running_loop().create_future()
        if isinstance(self.answer, Exception):
            future.set_exception(self.answer)
        elif self.answer != "silence":
            future.set_result(self.answer)
        return future


class Request:
    """As much of a request of the framework as a read looks at."""

    def __init__(self, token="t" * 43, query="", **headers):
        self.headers = ({"authorization": f"Bearer {token}"} if token else {}) | headers
        self.query_string, self.args = query, dict(p.split("=") for p in query.split("&") if p)
        self.ctx, self.body, self.stream, self.head = type("Context", (), {})(), b"", None, b""


@pytest.fixture
def statement():
    return Statement()


@pytest.fixture
def touched(monkeypatch):
    moved = []

    async def touch(session_id):
        moved.append(session_id)

    monkeypatch.setattr(login, "touch", touch)
    return moved


@pytest.fixture
def read(statement, touched):
    row = replace(
        ROW, method="GET", path="/cases", handler=statement, roles=CITIZEN, query=Asked, etag=True, proves_login=True
    )
    cycle = Cycle(replace(SETTINGS, deadline_seconds=0.3))
    serve = cycle.serve(row)

    async def ask(request=None):
        answer = await serve(request or Request())
        return answer.status, json.loads(answer.body)

    ask.cycle = cycle
    return ask


async def test_the_statements_bytes_are_the_answer(read, statement, touched):
    assert await read(Request(query="limit=3")) == (200, {"a": 1})
    ((digest, path, query),) = statement.asked
    assert (digest, path, query) == (login.digest_of("t" * 43), {}, Asked(3))
    assert touched == []


@pytest.mark.parametrize("token", ["", "中文", "x" * 129])
async def test_what_cannot_be_a_token_asks_nobody(read, statement, token):
    status, body = await read(Request(token=token))
    assert (status, body["code"], statement.asked) == (401, "not-logged-in", [])


async def test_a_basic_login_is_none(read, statement):
    status, _ = await read(Request(token="", authorization="Basic abc"))
    assert (status, statement.asked) == (401, [])


async def test_a_token_without_a_live_session_is_refused(read, statement):
    statement.answer = None
    status, body = await read()
    assert (status, body["code"]) == (401, "not-logged-in")


async def test_the_wrong_role_is_refused_whatever_was_found(read, statement, touched):
    statement.answer = Seen("courier", 7, True, b'{"a":1}')
    status, body = await read()
    assert (status, body["code"]) == (403, "not-allowed")
    assert touched == [7], "he is using his session all the same"


async def test_nothing_found_is_told_in_the_slices_words(read, statement):
    statement.answer = Seen("citizen", 7, False, None, "没有找到这件申请")
    status, body = await read()
    assert (status, body["detail"]) == (404, "没有找到这件申请")


async def test_a_session_that_rested_is_touched(read, statement, touched):
    statement.answer = Seen("citizen", 7, True, b"{}")
    assert (await read())[0] == 200
    assert touched == [7]


@pytest.mark.parametrize(("role", "status"), [(None, 401), ("courier", 403), ("citizen", 422)])
async def test_who_may_not_ask_is_told_so_before_what_was_wrong_with_the_question(read, monkeypatch, role, status):
    async def authenticate(*, token):
        return role and Actor(account_id=1, account_ref="r", role=role, session_id=1, assurance_level=0)

    monkeypatch.setattr(login, "authenticate", authenticate)
    assert (await read(Request(query="limit=0")))[0] == status
    assert (await read(Request(query="limit=many")))[0] == status


async def test_a_database_that_is_away_is_told_as_such(read, statement):
    statement.answer = DatabaseUnavailable(retry_after_seconds=2)
    assert (await read())[0] == 503


async def test_a_statement_that_does_not_end_is_given_up_in_time_and_no_longer_counted(read, statement):
    statement.answer = "silence"
    status, body = await read()
    assert (status, body["code"]) == (503, "deadline-passed")
    await asyncio.sleep(0)
    assert len(read.cycle._in_flight) == 0


async def test_reads_that_wait_count_as_in_flight_and_hanging_up_ends_them(read, statement):
    statement.answer = "silence"
    calls = [asyncio.create_task(read()) for _ in range(SETTINGS.most_in_flight)]
    await asyncio.sleep(0)
    assert (await read())[1]["code"] == "overloaded"
    for call in calls:
        call.cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended)
    statement.answer = Seen("citizen", 7, False, b"{}")
    assert (await read())[0] == 200
