"""Bytes on a socket, for requests that no honest client would send."""

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """What came back before the line was closed or the time was over."""

    raw: bytes
    closed: bool

    @property
    def status(self) -> int | None:
        first = self.raw.split(b"\r\n", 1)[0].split(b" ")
        return int(first[1]) if len(first) > 1 and first[1].isdigit() else None

    @property
    def statuses(self) -> list[int]:
        """Of every answer on the line, when several requests were sent."""
        parts = self.raw.split(b"HTTP/1.1 ")[1:]
        return [int(part[:3]) for part in parts if part[:3].isdigit()]


async def exchange(
    port: int, *pieces: bytes, pause: float = 0.0, seconds: float = 10.0, half_close: bool = False
) -> Reply:
    """Sends the pieces with a pause between them and reads until the other side closes or the time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()

    async def read() -> bool:
        while chunk := await reader.read(65536):
            received.extend(chunk)
        return True

    reading = asyncio.ensure_future(read())
    closed = False
    try:
        async with asyncio.timeout(seconds):
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    if pause:
                        await asyncio.wait([reading], timeout=pause)
                        if reading.done():
                            break
                if half_close and writer.can_write_eof():
                    writer.write_eof()
                closed = await reading
            except ConnectionError:
                closed = True
    except TimeoutError:
        pass
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    return Reply(bytes(received), closed)


async def hang_up_after(port: int, data: bytes) -> None:
    """Sends so much and is gone, as a phone in a tunnel."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await writer.drain()
    except ConnectionError:
        return
    finally:
        writer.transport.abort()


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    """A request line and its headers."""
    lines = [f"{method} {path} HTTP/1.1", "Host: api", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()
