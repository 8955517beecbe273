"""The loopback page of counters."""

import asyncio

import pytest

from kernel import metrics
from kernel.config import ConfigError, load_one
from kernel.metrics import MetricsSettings


async def ask(server: asyncio.Server, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    writer.write(request)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.fixture
async def server(unused_tcp_port):
    server = await metrics.listen(MetricsSettings(port=unused_tcp_port))
    assert server is not None
    yield server
    server.close()
    await server.wait_closed()


async def test_the_page_shows_what_was_counted(server):
    metrics.counter("test_things", "Things").inc(3)
    answer = await ask(server, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"test_things_total 3.0" in answer


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1", b"POST /metrics HTTP/1.1", b"nonsense"])
async def test_nothing_else_is_served(server, request_line):
    assert (await ask(server, request_line + b"\r\n\r\n")).startswith(b"HTTP/1.1 404")


async def test_a_caller_who_sends_rubbish_or_hangs_up_disturbs_nobody(server):
    for rubbish in (b"", b"x" * 20_000, b"\r\n"):
        assert await ask(server, rubbish) == b""
    assert (await ask(server, b"GET /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")


async def test_without_a_port_nothing_listens():
    assert await metrics.listen(MetricsSettings()) is None


@pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.1", "::", "localhost.example"])
def test_metrics_never_leave_the_machine(address):
    with pytest.raises(ConfigError):
        load_one(MetricsSettings, {"METRICS_PORT": "9100", "METRICS_ADDRESS": address})
