"""The TCP door of the finance front end: reads frames however they are cut, answers each, misbehaves when told to."""

import asyncio
import base64
import contextlib
import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sandbox.unified_pay_bills import digits
from sandbox.unified_pay_frames import LENGTH_DIGITS, FrameError, Message, announced, read, write

if TYPE_CHECKING:
    from sandbox.unified_pay import UnifiedPay

_READ_SECONDS = 10.0
_LOGGED_LINES = 5000


class Listener:
    """Serves the frames of one partner."""

    def __init__(self, partner: "UnifiedPay") -> None:
        self._partner = partner
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, port: int) -> None:
        """Listens; port 0 takes a free one. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, self._partner.run.host, port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """No new connections; those that are open end with the program."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (frame := await _next_frame(reader)) is not None:
                if not await self._answer(frame, writer):
                    break
        except (FrameError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self._log("unknown", b"", {"verdict": str(error) or type(error).__name__})
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, frame: bytes, writer: asyncio.StreamWriter) -> bool:
        """False when the connection is to be closed."""
        partner = self._partner
        try:
            message = read(frame, partner.token)
        except FrameError as error:
            # Nothing is answered to a frame whose proof does not hold: who sent it is not known.
            self._log(frame[19:23].decode("ascii", "replace"), frame, {"verdict": str(error)})
            return False
        effect = partner.faults.take(message.number, message.fields.get("Hold2") or message.fields.get("PayCode"))
        facts: dict[str, Any] = {"verdict": "ok", "nonce": message.msg_id, "number": message.fields.get("PayCode")}
        facts |= {"fields": message.fields, **({"fault": effect} if effect else {})}
        if effect.get("delay_ms"):
            await asyncio.sleep(float(effect["delay_ms"]) / 1000)
        if effect.get("drop") == "before":
            self._log(message.number, frame, facts)
            return False
        if "code" in effect:
            answer = partner.frontend.refusal(message.number, str(effect["code"]), "沙箱按要求拒绝")
            number, fields = "5001", answer
        else:
            number, fields = partner.frontend.work(message, frame)
        dropped = effect.get("drop") == "after"
        shown = f"{number} {fields.get('Result', '')}".strip()
        facts["answer"] = {"status": shown, "body": json.dumps(fields, ensure_ascii=False), "dropped": dropped}
        self._log(message.number, frame, facts)
        if dropped:
            return False
        await self._send(self._finished(message, number, fields, effect), effect, writer)
        return True

    def _finished(self, message: Message, number: str, fields: Mapping[str, str], effect: Mapping[str, Any]) -> bytes:
        partner, answers = self._partner, f"A{self._partner.store.next_number('answer'):012d}"
        token = "somebody-elses-secret" if effect.get("signature") == "other_key" else partner.token
        reply = Message(
            number=number, msg_id=answers, msg_ref="stranger" if effect.get("signature") == "stale" else message.msg_id,
            source=partner.config["finance_node"], target=partner.config["unit_node"], fields=dict(fields),
        )  # fmt: skip
        return write(
            reply, token, work_date=digits(partner.now_s(), "%Y%m%d"), upper=effect.get("signature") != "lower"
        )

    async def _send(self, frame: bytes, effect: Mapping[str, Any], writer: asyncio.StreamWriter) -> None:
        body, shape = effect.get("body"), effect.get("frame")
        if body == "garbage":
            frame = b"\x00\xff\xfe no frame"
        elif body == "truncated":
            frame = frame[: len(frame) // 2]
        elif body == "empty":
            frame = b""
        if shape == "short":
            frame = str(len(frame) - 10).ljust(LENGTH_DIGITS).encode() + frame[LENGTH_DIGITS:]
        elif shape == "newline":
            frame += b"\r\n"
        if shape == "split":
            for byte in frame:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(0)
            return
        writer.write(frame)
        await writer.drain()
        if body is not None:
            writer.close()

    def _log(self, number: str, frame: bytes, facts: dict[str, Any]) -> None:
        partner = self._partner
        entry = {
            "at": partner.now().isoformat(timespec="milliseconds"), "call": number, "method": "FRAME", "path": "",
            "body": base64.b64encode(frame[:65536]).decode(), "body_bytes": len(frame),
            "body_sha256": hashlib.sha256(frame).hexdigest(), "answer": {"status": None, "body": "", "dropped": True}, **facts,
        }  # fmt: skip
        partner.store.log_request(number, entry, keep=_LOGGED_LINES)


async def _next_frame(reader: asyncio.StreamReader) -> bytes | None:
    """One whole frame, however it was cut on the way; None at the end of the stream. Line breaks between frames are skipped."""
    first = b"\n"
    while first in (b"\r", b"\n"):
        first = await reader.read(1)
    if not first:
        return None
    async with asyncio.timeout(_READ_SECONDS):
        head = first + await reader.readexactly(LENGTH_DIGITS - 1)
        return head + await reader.readexactly(announced(head) - LENGTH_DIGITS)
