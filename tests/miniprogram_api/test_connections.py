"""What requests of one keep-alive connection may share: the connection, and nothing else."""

import asyncio
import contextvars
import gc
import socket
from dataclasses import replace

import msgspec
import pytest
import structlog
from sanic import Sanic

from kernel.problems import Forbidden, NotFound
from miniprogram_api.app import create_app
from miniprogram_api.cycle import Cycle
from miniprogram_api.endpoints import PUBLIC, Call, Endpoint, Raw
from miniprogram_api.settings import HttpSettings
from tests.services import free_port

_left_behind: contextvars.ContextVar[str] = contextvars.ContextVar("left_behind", default="nothing")
SETTINGS = HttpSettings(
    host="127.0.0.1", port=0, socket=None, proxies=0, most_in_flight=64, deadline_seconds=2, cors_origins=()
)


class Seen(msgspec.Struct, frozen=True):
    """What an endpoint found in its context."""

    variable: str
    log: dict[str, str]


async def look(call: Call) -> Seen:
    """Says what it found, then leaves something behind as a careless library would."""
    found = Seen(_left_behind.get(), dict(structlog.contextvars.get_contextvars()))
    _left_behind.set("something of " + call.request_id)
    structlog.contextvars.bind_contextvars(case_no="620981202601010000001")
    return found


async def swallow(call: Call) -> Seen:
    """The same for a route that reads its body as a stream."""
    assert call.stream is not None
    async for _ in call.stream:
        pass
    return await look(call)


async def refuse_at_once(call: Call) -> Raw:
    """An upload that is refused before its body was read."""
    raise Forbidden


async def refuse_late(call: Call) -> Raw:
    """A refusal that comes when the sender may be gone."""
    await asyncio.sleep(0.1)
    raise NotFound


ROW = Endpoint(
    method="POST", path="/probe", handler=look, summary="", tag="", roles=PUBLIC, body=None, query=None, answer=Seen,
    status=200, idempotent=False, etag=False, streamed=False, limit=None, raw_answer=None, max_body=1 << 20, prefix="",
)  # fmt: skip
STREAMED = replace(ROW, path="/streamed", handler=swallow, streamed=True, max_body=4 << 20)
REFUSING = replace(ROW, path="/refusing", handler=refuse_at_once, streamed=True, max_body=4 << 20)

LATE = replace(ROW, path="/late", handler=refuse_late)


@pytest.fixture
async def door():
    """An application with our cycle and three probing routes, on a real socket of this very loop."""

    async def nothing() -> None:
        pass

    Sanic.test_mode = True
    app = create_app(SETTINGS, name=f"probe-{free_port()}", start=nothing, stop=nothing)
    cycle: Cycle = app.ctx.cycle
    for row in (ROW, STREAMED, REFUSING, LATE):
        app.add_route(cycle.serve(row), row.path, methods=["POST"], stream=row.streamed, name="probe" + row.path[1:])
    listening = socket.create_server(("127.0.0.1", 0))
    server = await app.create_server(sock=listening, return_asyncio_server=True, access_log=False)
    await server.startup()
    await server.start_serving()
    yield listening.getsockname()[1]
    await server.close()
    Sanic.unregister_app(app)
    Sanic.test_mode = False


class Line:
    """One connection that is kept open."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def post(self, path: str, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        self.writer.write(head.encode() + body)
        async with asyncio.timeout(10):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            answer = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(first.split(" ")[1]), headers, answer


@pytest.fixture
async def line(door):
    reader, writer = await asyncio.open_connection("127.0.0.1", door)
    yield Line(reader, writer)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("path", ["/probe", "/streamed"])
async def test_two_requests_on_one_connection_share_no_context_variable(line, path):
    """Sanic runs them in one task: whatever the first left in its context, an open transaction say, must not be there."""
    for _ in range(3):
        status, headers, body = await line.post(path, b"photo")
        assert status == 200
        seen = msgspec.json.decode(body, type=Seen)
        assert seen.variable == "nothing"
        assert seen.log == {"request_id": headers["x-request-id"]}


async def test_what_a_stream_left_behind_is_gone_for_the_next_ordinary_request(line):
    await line.post("/streamed", b"photo")
    _, _, body = await line.post("/probe")
    assert msgspec.json.decode(body, type=Seen).variable == "nothing"


@pytest.mark.parametrize("megabytes", [0.001, 0.9, 3, 5, 11])
async def test_a_refused_upload_is_read_to_its_end_so_that_the_line_stays_usable(line, megabytes):
    """Behind nginx the next request on this line is somebody else's; an unread body would reset it under their hands."""
    status, headers, _ = await line.post("/refusing", b"x" * int(megabytes * 1_000_000))
    assert status == 403
    if headers["connection"] == "keep-alive":
        assert (await line.post("/probe"))[0] == 200
    else:
        assert await line.reader.read() == b""


async def test_a_body_over_the_routes_limit_is_refused_and_read_to_its_end(line):
    status, headers, _ = await line.post("/streamed", b"x" * 5_000_000)
    assert status == 413
    assert headers["connection"] == "close"
    assert await line.reader.read() == b""


async def test_a_refusal_that_nobody_hears_leaves_no_orphaned_task(door):
    """Otherwise every phone in a tunnel would write an error into the log."""
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context["message"]))
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", door)
        writer.write(b"POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.03)
        writer.transport.abort()
    await asyncio.sleep(0.3)
    gc.collect()
    asyncio.get_running_loop().set_exception_handler(None)
    assert complaints == []
