"""Bytes no honest phone sends, on the doors that ask nobody for a login: a refusal in words, never a failure of ours."""

import asyncio
import base64
import json
import socket

import pytest
from sanic import Sanic

from backend.cases import uploads
from backend.identity.actor import Actor
from backend.onewindow import ports
from kernel import clock, http
from kernel.cache import RedisSettings
from kernel.idempotency import Idempotency, KeyReused
from kernel.limits import Limiter
from kernel.problems import Invalid
from kernel.wechat_push import PushDoor, PushRefused
from miniprogram_api.app import create_app
from miniprogram_api.endpoints import Call
from miniprogram_api.uploads import _announced, create
from tests.backend.onewindow.conftest import Parcels
from tests.backend.onewindow.test_feedback import LINE
from tests.kernel.test_wechat_push import SETTINGS as WECHAT
from tests.miniprogram_api.test_connections import SETTINGS
from tests.services import free_port


@pytest.fixture
async def product(database):
    """The real table of routes on a real socket, with a database."""

    async def nothing() -> None:
        pass

    Sanic.test_mode = True
    app = create_app(SETTINGS, name=f"strange-{free_port()}", start=nothing, stop=nothing)
    app.ctx.cycle.limiter = Limiter(RedisSettings(url=None))
    ports.configure(settings=LINE, partner=http.Partner("onewindow", LINE.base_url), parcels=Parcels())
    listening = socket.create_server(("127.0.0.1", 0))
    server = await app.create_server(sock=listening, return_asyncio_server=True, access_log=False)
    await server.startup()
    await server.start_serving()
    yield listening.getsockname()[1]
    await server.close()
    await http.close()


async def ask(port: int, path: str, *headers: bytes, body: bytes = b"{}") -> tuple[int, bytes]:
    """One request whose headers are exactly these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = b"\r\n".join(
        (b"POST " + path.encode() + b" HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(body), *headers)
    )
    writer.write(head + b"\r\nConnection: close\r\n\r\n" + body)
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("name", [b"gjzwfwpt_rid", b"gjzwfwpt_sid", b"gjzwfwpt_sign", b"x-ycsl-nonce"])
async def test_a_platform_header_that_is_no_text_is_a_wrong_signature(product, name) -> None:
    right = {b"gjzwfwpt_rid": b"them", b"gjzwfwpt_sid": b"ycsl.event.push", b"gjzwfwpt_rtime": b"%d" % clock.now_ms()}
    headers = [key + b": " + value for key, value in (right | {name: b"\xff\xfe"}).items()]
    status, body = await ask(product, "/api/v1/callbacks/one-window/event.push", *headers)
    assert (status, json.loads(body)["code"]) == (200, 301)


async def test_a_key_that_is_no_text_is_a_key_like_any_other(product) -> None:
    wish = json.dumps({"refresh_token": "a" * 30}).encode()
    status, body = await ask(product, "/api/v1/login/refresh", b"Idempotency-Key: \xff", body=wish)
    assert (status, json.loads(body)["code"]) == (401, "session-ended")


def test_upload_headers_that_are_no_base64_are_named() -> None:
    for sha256 in ("é", "\ufffd", "%%%"):
        with pytest.raises(Invalid):
            _announced({"upload-length": "3", "upload-metadata": f"sha256 {sha256}"})
        with pytest.raises(uploads.UploadPartDamaged):
            uploads._check_part(b"abc", f"sha256 {sha256}")


async def test_one_key_for_two_different_files_is_refused(database) -> None:
    """The announcement stands in headers, so the hash of the body alone would take the second file for the first."""
    actor = Actor(account_id=1, account_ref="a" * 26, role="citizen", session_id=1, assurance_level=2)
    idem = Idempotency(scope="citizen:a POST /uploads", key="k", request_hash="same body")

    def announce(length: int):
        digest = base64.b64encode(b"0" * 64).decode()
        headers = {"upload-length": str(length), "upload-metadata": f"sha256 {digest}"}
        return create(
            Call(request_id="r", headers=headers, path={}, raw=b"", query=None, current_actor=actor, idem=idem)
        )

    first, again = await announce(10), await announce(10)
    assert first.headers["Location"] == again.headers["Location"]
    with pytest.raises(KeyReused):
        await announce(11)


async def test_half_a_character_in_a_push_of_wechat_is_refused(frozen_clock) -> None:
    query = {"msg_signature": "x", "timestamp": str(int(clock.now().timestamp())), "nonce": "n"}
    with pytest.raises(PushRefused):
        await PushDoor(WECHAT).receive(query, b'{"Encrypt": "\\ud800"}')
