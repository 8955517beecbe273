"""How bytes reach the platform: one frame over a fresh TCP connection, or one HTTP call. Knows no message."""

import asyncio
from dataclasses import dataclass
from typing import Protocol

import structlog

from kernel import clock
from kernel.breaker import Breaker
from kernel.http import NotSent, Partner, PartnerError
from payments.gateways.unified_pay.frames import FrameError, FrameReader
from payments.gateways.unified_pay.profile import Profile

log = structlog.get_logger(__name__)

_AT_ONCE = 8
_CHUNK = 65536


@dataclass(frozen=True)
class Silence:
    """No usable answer. `sent` False: certainly nothing reached the platform."""

    sent: bool
    reason: str


class Door(Protocol):
    """One exchange of bytes; no exception crosses it."""

    async def exchange(self, number: str, raw: bytes) -> bytes | Silence: ...


class FrameDoor:
    """Frames over TCP; a connection per exchange, as the front ends we know of expect."""

    def __init__(self, name: str, host: str, port: int, profile: Profile) -> None:
        self._name, self._host, self._port, self._profile = name, host, port, profile
        self._breaker = Breaker()
        self._slots: tuple[asyncio.AbstractEventLoop, asyncio.Semaphore] | None = None

    async def exchange(self, number: str, raw: bytes) -> bytes | Silence:
        """Sends one frame and gives the first that comes back."""
        ticket = self._breaker.admit()
        if ticket is None:
            return Silence(False, "breaker open")
        started, sent = clock.monotonic(), _Sent()
        try:
            async with asyncio.timeout(self._profile.transport.total_seconds), self._slot():
                answer = await self._talk(raw, sent)
        except (OSError, FrameError, EOFError) as error:  # TimeoutError is an OSError
            self._breaker.record(ticket, failed=True)
            self._say(number, started, "no answer" if sent.done else "not sent")
            return Silence(sent.done, type(error).__name__)
        except BaseException:
            self._breaker.forget(ticket)
            raise
        self._breaker.record(ticket, failed=False)
        self._say(number, started, "answered")
        return answer

    async def _talk(self, raw: bytes, sent: "_Sent") -> bytes:
        transport = self._profile.transport
        async with asyncio.timeout(transport.connect_seconds):
            reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            sent.done = True
            writer.write(raw)
            await writer.drain()
            frames = FrameReader(self._profile.framing)
            while data := await reader.read(_CHUNK):
                if found := frames.feed(data):
                    return found[0]
            raise EOFError
        finally:
            writer.close()

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        if self._slots is None or self._slots[0] is not loop:
            self._slots = (loop, asyncio.Semaphore(_AT_ONCE))
        return self._slots[1]

    def _say(self, number: str, started: float, outcome: str) -> None:
        seconds = round(clock.monotonic() - started, 3)
        log.info("partner.call", partner=self._name, call=number, outcome=outcome, seconds=seconds)


class _Sent:
    """Whether a first byte may have left."""

    done = False


class HttpDoor:
    """One HTTP call per message; the profile says the path and the content type."""

    def __init__(self, partner: Partner, profile: Profile) -> None:
        self._partner, self._profile = partner, profile

    async def exchange(self, number: str, raw: bytes) -> bytes | Silence:
        """Posts the message; anything but 200 is no answer."""
        transport = self._profile.transport
        try:
            answer = await self._partner.request(
                "POST", transport.path.replace("{number}", number), headers={"Content-Type": transport.content_type}, body=raw,
                total_seconds=transport.total_seconds, max_bytes=self._profile.framing.most_bytes, call=number,
            )  # fmt: skip
        except PartnerError as error:
            return Silence(not isinstance(error, NotSent), error.reason)
        return answer.body if answer.status == 200 else Silence(True, f"status {answer.status}")
