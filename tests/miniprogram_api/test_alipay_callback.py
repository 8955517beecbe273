"""What Alipay sends and reads, byte by byte through the real edge: the raw form in, exactly seven bytes out."""

import asyncio
import socket

import pytest
from sanic import Sanic

from kernel import http
from kernel.cache import RedisSettings
from kernel.limits import Limiter
from miniprogram_api.app import create_app
from payments import runtime
from payments.settings import PaymentSettings
from tests.miniprogram_api.test_connections import SETTINGS
from tests.payments import alipay_side as alipay
from tests.services import free_port


@pytest.fixture
async def product(database):
    async def nothing() -> None:
        pass

    gateway, _ = alipay.gateway()
    runtime.use(PaymentSettings(), {"alipay": gateway})
    Sanic.test_mode = True
    app = create_app(SETTINGS, name=f"alipay-{free_port()}", start=nothing, stop=nothing)
    app.ctx.cycle.limiter = Limiter(RedisSettings(url=None))
    listening = socket.create_server(("127.0.0.1", 0))
    server = await app.create_server(sock=listening, return_asyncio_server=True, access_log=False)
    await server.startup()
    await server.start_serving()
    yield listening.getsockname()[1]
    await server.close()
    await http.close()
    runtime.use(PaymentSettings(), {})


async def post(port: int, body: bytes) -> tuple[bytes, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        b"POST /api/v1/callbacks/alipay HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: %d\r\n\r\n"
    )
    writer.write(head % len(body) + body)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    return head.lower(), content


async def test_a_stored_notice_is_answered_with_seven_bytes_and_one_content_type(product):
    fields = alipay.notice_fields("01JD3K5R9W7YQ2M4N6P8T0V1X3", subject="a+b%20&c=d 工本费", body="")
    for _ in range(2):  # a copy gets the same answer
        head, content = await post(product, alipay.signed_notice(fields))
        assert head.startswith(b"http/1.1 200 ")
        assert content == b"success"
        assert head.count(b"\r\ncontent-type: text/plain") == head.count(b"\r\ncontent-type:") == 1


async def test_a_refused_notice_is_told_to_fail(product):
    head, content = await post(product, alipay.signed_notice(alipay.notice_fields("N1"), signer="somebody"))
    assert head.startswith(b"http/1.1 400 ")
    assert content == b"fail"


async def test_a_notice_that_cannot_be_stored_is_sent_again(product, monkeypatch):
    from kernel.problems import DatabaseUnavailable
    from payments import notices

    async def away(*_, **__):
        raise DatabaseUnavailable

    monkeypatch.setattr(notices.inbox, "receive", away)
    head, content = await post(product, alipay.signed_notice(alipay.notice_fields("N1")))
    assert head.startswith(b"http/1.1 503 ")
    assert content == b"fail"
