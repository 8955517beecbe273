"""The generator: it measures what a server does, and takes no wrong answer for a good one."""

import asyncio
import contextlib
import itertools

import pytest

from bench import load


@contextlib.asynccontextmanager
async def server(answer):
    """A raw HTTP server; `answer(number)` gives body, status and seconds to wait for the n-th request."""
    numbers = itertools.count()

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                body, status, seconds = answer(next(numbers))
                if body is None:
                    break
                await asyncio.sleep(seconds)
                head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                writer.write(head[:9])  # answers come in pieces
                await asyncio.sleep(0)
                writer.write(head[9:] + body)
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield listening.sockets[0].getsockname()[1]


def shots(port, count=None, expected=b"good"):
    made = (load.request("GET", "/", port=port, token="t"), expected)
    return iter([made] * count) if count is not None else itertools.repeat(made)


async def fire(answer, **more):
    async with server(answer) as port:
        return await load.fire(port, shots(port, more.pop("count", None)), **{"seconds": 0.3, "connections": 4} | more)


async def test_a_deliberately_slow_server_is_reported_slower():
    quick = await fire(lambda n: (b"good", 200, 0))
    slow = await fire(lambda n: (b"good", 200, 0.02))
    assert slow.errors == quick.errors == 0
    assert slow.rps < quick.rps / 2
    assert slow.percentile_ms(0.5) >= 19 > quick.percentile_ms(0.5)


async def test_a_wrong_body_and_a_refusal_are_errors_and_never_counted():
    wrong = await fire(lambda n: (b"goo", 200, 0), count=10)
    assert (wrong.done, wrong.errors) == (0, 10) and wrong.complaints
    refused = await fire(lambda n: (b"good", 503, 0), count=10)
    assert (refused.done, refused.errors) == (0, 10)


async def test_one_that_drops_every_tenth_request_is_found_out():
    result = await fire(lambda n: (None, 0, 0) if n % 10 == 9 else (b"good", 200, 0), count=30)
    assert result.errors >= 1 and any("hung up" in text for text in result.complaints)


async def test_a_round_ends_when_the_shots_run_out():
    result = await fire(lambda n: (b"good", 200, 0), count=25, seconds=60)
    assert (result.done, result.errors) == (25, 0) and result.seconds < 30


async def test_at_a_fixed_rate_latency_counts_from_the_intended_moment():
    steady = await fire(lambda n: (b"good", 200, 0), rate=100, seconds=0.5)
    assert 35 <= steady.done <= 51 and steady.errors == 0
    swamped = await fire(lambda n: (b"good", 200, 0.05), rate=400, seconds=0.5, connections=2)
    assert swamped.late > 50, "a backlog is counted, not forgotten"
    assert swamped.percentile_ms(0.99) > 200, "those who waited in line waited too"


def test_a_request_is_whole():
    told = load.request("POST", "/x", port=1, token="t", body="名".encode(), key="k")
    assert told.startswith(b"POST /x HTTP/1.1\r\n") and b"Content-Length: 3\r\n\r\n\xe5\x90\x8d" in told
    assert b"Idempotency-Key: k" in told and b"Bearer t" in told


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 X", b"HTTP/1.1 200 X\r\nContent-Length: 12"])
def test_the_length_of_an_answer(head):
    assert load._content_length(head + b"\r\n\r\n", len(head)) in (0, 12)
