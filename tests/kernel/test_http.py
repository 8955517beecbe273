"""The outgoing client against raw servers: deadlines, limits, and the difference between 'not sent' and 'no answer'."""

import asyncio
import gzip
import socket
from contextlib import asynccontextmanager

import pytest
import structlog
from multidict import CIMultiDict

from kernel import http, metrics
from kernel.breaker import Phase
from kernel.http import NoAnswer, NotSent, Partner


@pytest.fixture(autouse=True)
async def closed_afterwards():
    yield
    await http.close()


def reply(body: bytes = b"{}", status: str = "200 OK", *extra: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *extra]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def server(answer, **options):
    """A partner that runs `answer(head, reader, writer)` per connection and remembers what it was sent."""
    heads: list[bytes] = []
    tasks: set[asyncio.Task] = set()

    async def serve(reader, writer):
        tasks.add(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                heads.append(head)
                await answer(head, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    partner = Partner("partner", f"http://127.0.0.1:{port}", **options)
    try:
        yield partner, heads
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def saying(data: bytes):
    async def answer(head, reader, writer):
        writer.write(data)
        await writer.drain()

    return answer


async def hang_up(head, reader, writer):
    raise ConnectionError


async def silence(head, reader, writer):
    await asyncio.sleep(30)


async def test_an_answer_is_an_answer_whatever_its_status():
    async with server(saying(reply(b"no", "503 Busy", "X-Why: tired"))) as (partner, _):
        answer = await partner.request("POST", "/pay", body=b"{}")
    assert (answer.status, answer.body, answer.headers["x-why"]) == (503, b"no", "tired")
    assert isinstance(answer.headers, CIMultiDict)


@pytest.mark.parametrize(
    "target",
    ["/a?b=%2Fc&t=10%3A00", "/a%20b?x=1+1", "/%E7%8E%89%E9%97%A8?q=%e4%b8%ad", "/a//b/../c", "?method=x", ""],
)
async def test_the_target_goes_on_the_wire_as_it_was_signed(target):
    async with server(saying(reply())) as (partner, heads):
        await partner.request("GET", target)
        sent = heads[0].split(b" ")[1].decode()
    assert sent == partner.wire_target(target)
    if target.startswith("/"):
        assert sent == target


async def test_a_path_in_the_base_address_stands_before_every_target():
    async with server(saying(reply())) as (partner, heads):
        below = Partner("below", partner.base_url + "/gateway/open/")
        await below.request("POST", "?method=x", body=b"")
    assert heads[0].startswith(b"POST /gateway/open?method=x ")


@pytest.mark.parametrize(
    "target", ["http://elsewhere/", "@elsewhere/", "a", "/a b", "/中", "/a\r\nX: y", "/a#b", "/a?", "/\x00"]
)
async def test_a_target_cannot_leave_the_partner(target):
    partner = Partner("partner", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match="percent-encoded"):
        await partner.request("GET", target)


@pytest.mark.parametrize(
    "address",
    [
        "ftp://a/",
        "//a",
        "http://",
        "http://user:pw@a/",
        "http://a/?x=1",
        "http://a/#x",
        "http://169.254.169.254/",
        "http://[fe80::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
    ],
)
def test_addresses_no_partner_can_have_are_refused(address):
    with pytest.raises(ValueError, match="partner"):
        Partner("partner", address)


async def test_a_name_that_resolves_to_the_metadata_service_is_refused(monkeypatch):
    async def resolve(self, host, port=0, family=socket.AF_INET):
        entry = {"hostname": host, "host": "169.254.169.254", "port": port, "family": family, "proto": 0, "flags": 0}
        return [entry]

    monkeypatch.setattr("aiohttp.ThreadedResolver.resolve", resolve)
    with pytest.raises(NotSent):
        await Partner("partner", "http://rebound.example").request("GET", "/")


async def test_redirects_are_not_followed():
    async with server(saying(reply(b"", "302 Found", "Location: http://127.0.0.1:1/"))) as (partner, heads):
        answer = await partner.request("GET", "/")
    assert answer.status == 302
    assert len(heads) == 1


async def test_a_refused_connection_was_certainly_not_sent():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        partner = Partner("partner", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(NotSent):
            await partner.request("POST", "/pay", body=b"{}")


async def test_an_unknown_name_was_certainly_not_sent():
    with pytest.raises(NotSent):
        await Partner("partner", "http://no-such-host.invalid").request("GET", "/")


async def test_tls_that_does_not_come_up_was_certainly_not_sent():
    async def greet(head, reader, writer):
        writer.write(reply())

    async with server(greet) as (partner, _):
        encrypted = Partner("partner", partner.base_url.replace("http:", "https:"), connect_seconds=0.3)
        with pytest.raises(NotSent):
            await encrypted.request("GET", "/")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_cut_after_the_request_leaves_the_outcome_unknown(method):
    async with server(hang_up) as (partner, heads):
        with pytest.raises(NoAnswer):
            await partner.request(method, "/", body=None)
    assert len(heads) == 1


async def test_a_kept_connection_that_dies_is_not_silently_tried_again():
    async def once(head, reader, writer):
        if len(heads) > 1:
            raise ConnectionError
        writer.write(reply())
        await writer.drain()

    async with server(once) as (partner, heads):
        await partner.request("GET", "/1")
        with pytest.raises(NoAnswer):
            await partner.request("GET", "/2")
        assert len(heads) == 2


@pytest.mark.parametrize(
    "part", [b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"nonsense\r\n\r\n"]
)
async def test_half_an_answer_is_no_answer(part):
    async def half(head, reader, writer):
        writer.write(part)
        await writer.drain()
        raise ConnectionError

    async with server(half) as (partner, _):
        with pytest.raises(NoAnswer):
            await partner.request("POST", "/", body=b"{}")


async def test_a_silent_partner_costs_no_more_than_the_deadline():
    async with server(silence, total_seconds=0.4) as (partner, _):
        with pytest.raises(NoAnswer) as raised:
            await partner.request("POST", "/", body=b"{}")
    assert raised.value.reason == "timeout"


async def test_a_partner_that_drips_is_ended_by_the_total_deadline():
    async def drip(head, reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with server(drip) as (partner, _):
        with pytest.raises(NoAnswer):
            await partner.request("GET", "/", total_seconds=0.4)


async def test_an_answer_longer_than_allowed_is_refused_packed_or_not():
    packed = gzip.compress(b"x" * 5000)
    for data in (reply(b"x" * 101), reply(packed, "200 OK", "Content-Encoding: gzip")):
        async with server(saying(data)) as (partner, _):
            with pytest.raises(NoAnswer) as raised:
                await partner.request("GET", "/", max_bytes=100)
            assert raised.value.reason == "answer too large"


async def test_a_packed_answer_is_unpacked():
    async with server(saying(reply(gzip.compress(b"hello"), "200 OK", "Content-Encoding: gzip"))) as (partner, _):
        assert (await partner.request("GET", "/")).body == b"hello"


async def test_at_most_so_many_calls_at_once_and_the_rest_waits_its_turn():
    most = running = 0

    async def slow(head, reader, writer):
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        writer.write(reply())
        await writer.drain()

    async with server(slow, concurrency=3) as (partner, _):
        await asyncio.gather(*(partner.request("GET", "/") for _ in range(12)))
    assert most == 3


async def test_waiting_for_a_slot_too_long_was_not_sent_and_is_not_the_partners_fault():
    async with server(silence, concurrency=1, total_seconds=0.3) as (partner, heads):
        first = asyncio.create_task(partner.request("GET", "/", total_seconds=1))
        await asyncio.sleep(0.1)
        with pytest.raises(NotSent):
            await partner.request("GET", "/")
        with pytest.raises(NoAnswer):
            await first
        assert len(heads) == 1


async def test_the_breaker_answers_for_a_partner_that_is_down():
    async with server(hang_up) as (partner, heads):
        for _ in range(20):
            with pytest.raises(NoAnswer):
                await partner.request("GET", "/")
        assert partner.breaker.phase is Phase.OPEN
        with pytest.raises(NotSent) as raised:
            await partner.request("GET", "/")
        assert raised.value.reason == "breaker open"
        assert len(heads) == 20


async def test_five_hundreds_open_the_breaker_four_hundreds_do_not():
    for status, phase in (("500 Oops", Phase.OPEN), ("400 Bad", Phase.CLOSED)):
        async with server(saying(reply(b"", status))) as (partner, _):
            for _ in range(20):
                await partner.request("GET", "/")
            assert partner.breaker.phase is phase


async def test_neither_log_nor_error_shows_query_headers_or_bodies():
    with structlog.testing.capture_logs() as lines:
        async with server(hang_up) as (partner, _):
            with pytest.raises(NoAnswer) as raised:
                await partner.request(
                    "POST", "/x?access_token=SECRET", headers={"Authorization": "SECRET"}, body=b"SECRET", call="send"
                )
    error = raised.value
    assert "SECRET" not in repr(error) + str(error) + repr(lines) + repr(error.__cause__)
    assert error.__suppress_context__
    assert lines[0]["partner"] == "partner"
    assert lines[0]["call"] == "send"
    assert lines[0]["outcome"] == "no answer"


async def test_a_call_is_logged_with_its_status_and_duration():
    with structlog.testing.capture_logs() as lines:
        async with server(saying(reply(b"", "404 Not Found"))) as (partner, _):
            await partner.request("GET", "/secret/path", call="query")
    assert (lines[0]["call"], lines[0]["status"], lines[0]["outcome"]) == ("query", 404, "4xx")
    assert lines[0]["duration_ms"] >= 0
    assert "secret" not in repr(lines)


async def test_the_partners_clock_is_measured():
    async with server(saying(reply(b"", "200 OK", "Date: Thu, 01 Jan 2015 00:00:00 GMT"))) as (partner, _):
        await partner.request("GET", "/")
    skew = metrics.REGISTRY.get_sample_value("partner_clock_skew_seconds", {"partner": "partner"})
    assert skew < -300_000_000


async def test_a_date_that_is_none_is_ignored():
    async with server(saying(reply(b"", "200 OK", "Date: yesterday"))) as (partner, _):
        assert (await partner.request("GET", "/")).status == 200


async def test_a_caller_who_gives_up_leaves_no_mark():
    async with server(silence) as (partner, _):
        task = asyncio.create_task(partner.request("GET", "/"))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert partner.breaker.phase is Phase.CLOSED


async def test_a_header_that_breaks_the_line_is_our_bug_not_the_partners():
    async with server(saying(reply())) as (partner, _):
        with pytest.raises(ValueError, match=r"."):
            await partner.request("GET", "/", headers={"X": "a\r\nY: b"})


async def test_a_download_is_written_as_it_comes(tmp_path):
    content = bytes(range(256)) * 20_000  # more than one piece
    async with server(saying(reply(content, "200 OK", "Content-Encoding: gzip"))) as (partner, heads):
        answer = await partner.download("/f?t=1", into=tmp_path / "f", headers={"X-Proof": "1"}, max_bytes=1 << 24)
    assert (answer.status, answer.body, (tmp_path / "f").read_bytes()) == (200, b"", content)
    assert b"GET /f?t=1 " in heads[0] and b"X-Proof: 1" in heads[0]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (saying(reply(b"x" * 5000)), "too large"),
        (hang_up, "Error"),
        (saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), "timeout"),
    ],
)
async def test_half_a_download_leaves_no_file(tmp_path, answer, error):
    async with server(answer, read_seconds=0.3) as (partner, _):
        with pytest.raises(NoAnswer, match=error):
            await partner.download("/f", into=tmp_path / "f", max_bytes=4096)
    assert list(tmp_path.iterdir()) == []


async def test_a_refused_download_is_an_answer_without_a_file(tmp_path):
    async with server(saying(reply(b'{"code":"X"}', "400 Bad Request"))) as (partner, _):
        answer = await partner.download("/f", into=tmp_path / "f", max_bytes=4096)
    assert (answer.status, answer.body) == (400, b'{"code":"X"}')
    assert not (tmp_path / "f").exists()
