"""The load generator: keep-alive connections, raw HTTP/1.1, every answer checked. Closed loop, or open loop at a fixed rate."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Shot = tuple[bytes, bytes]  # the request as bytes, and what its answer must contain
_END = b"\r\n\r\n"


@dataclass
class Result:
    """What one round of load gave."""

    done: int = 0
    errors: int = 0
    seconds: float = 0.0
    received: int = 0
    late: int = 0
    latencies: list[float] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def rps(self) -> float:
        """Good answers per second."""
        return self.done / self.seconds if self.seconds else 0.0

    def percentile_ms(self, share: float) -> float:
        """A latency percentile in milliseconds."""
        known = sorted(self.latencies)
        return known[min(len(known) - 1, int(len(known) * share))] * 1000 if known else 0.0


def request(
    method: str, path: str, *, port: int, token: str | None = None, body: bytes = b"", key: str | None = None
) -> bytes:
    """One HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if key:
        lines.append(f"Idempotency-Key: {key}")
    if method != "GET":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + _END + body


class _Connection(asyncio.Protocol):
    def __init__(self, round_: "_Round") -> None:
        self.round = round_
        self.buffer = b""
        self.expected = b""
        self.began = 0.0
        self.idle = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.WriteTransport = transport  # type: ignore[assignment]
        self.round.ready(self)

    def send(self, shot: Shot, began: float) -> None:
        self.idle, self.began, self.expected = False, began, shot[1]
        self.transport.write(shot[0])

    def data_received(self, data: bytes) -> None:
        self.buffer = data if not self.buffer else self.buffer + data
        head = self.buffer.find(_END)
        if head < 0:
            return
        length = _content_length(self.buffer, head)
        size = head + 4 + length
        if len(self.buffer) < size:
            return
        answer, self.buffer, self.idle = self.buffer[:size], self.buffer[size:], True
        self.round.answered(self, answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.round.lost(self)


def _content_length(data: bytes, head: int) -> int:
    lower = data[:head].lower()
    at = lower.find(b"content-length:")
    if at < 0:
        return 0
    end = lower.find(b"\r\n", at)
    return int(lower[at + 15 : end if end > 0 else head])


class _Round:
    """One round: hands out shots, judges answers, knows when it is over."""

    def __init__(self, shots: Iterator[Shot], seconds: float, rate: float | None) -> None:
        self.shots, self.rate, self.result = shots, rate, Result()
        self.loop = asyncio.get_running_loop()
        self.until = time.perf_counter() + seconds
        self.over = self.loop.create_future()
        self.connections: set[_Connection] = set()
        self.idle: list[_Connection] = []
        self.due: list[float] = []
        self.empty = False

    def ready(self, connection: _Connection) -> None:
        self.connections.add(connection)
        self._next(connection)

    def _next(self, connection: _Connection) -> None:
        now = time.perf_counter()
        if self.rate is not None:
            if self.due:
                self._shoot(connection, self.due.pop(0))
            else:
                self.idle.append(connection)
        elif now < self.until and not self.empty:
            self._shoot(connection, now)
        else:
            connection.transport.close()

    def _shoot(self, connection: _Connection, began: float) -> None:
        shot = next(self.shots, None)
        if shot is None:
            self.empty = True
            connection.transport.close()
            return
        connection.send(shot, began)

    def answered(self, connection: _Connection, answer: bytes) -> None:
        result = self.result
        result.received += len(answer)
        if answer[9:10] == b"2" and connection.expected in answer:
            result.done += 1
            result.latencies.append(time.perf_counter() - connection.began)
        else:
            result.errors += 1
            if len(result.complaints) < 3:
                result.complaints.append(answer[:400].decode(errors="replace"))
        self._next(connection)

    def lost(self, connection: _Connection) -> None:
        if not connection.idle:
            self.result.errors += 1
            self.result.complaints.append("the server hung up before it answered")
        self.connections.discard(connection)
        if not self.connections and not self.over.done():
            self.over.set_result(None)

    async def tick(self) -> None:
        """Open loop: a request falls due at its intended time whether the server keeps up or not."""
        assert self.rate is not None
        started, sent = time.perf_counter(), 0
        while (now := time.perf_counter()) < self.until:
            while sent < (now - started) * self.rate:
                intended = started + sent / self.rate
                sent += 1
                if self.idle:
                    self._shoot(self.idle.pop(), intended)
                else:
                    self.due.append(intended)
            await asyncio.sleep(0.0005)
        self.result.late = len(self.due)
        self.due.clear()
        await asyncio.sleep(0.2)
        for connection in list(self.connections):
            connection.transport.close()


async def fire(
    port: int,
    shots: Iterator[Shot],
    *,
    seconds: float,
    connections: int = 32,
    rate: float | None = None,
    patience_seconds: float = 30,
    started: Callable[[], None] = lambda: None,
) -> Result:
    """Loads a server for a while, or until the shots run out. Latency under `rate` counts from the intended send time."""
    round_ = _Round(shots, seconds, rate)
    loop = asyncio.get_running_loop()
    started()
    began = time.perf_counter()
    await asyncio.gather(
        *(loop.create_connection(lambda: _Connection(round_), "127.0.0.1", port) for _ in range(connections))
    )
    if rate is not None:
        await round_.tick()
    try:
        await asyncio.wait_for(round_.over, seconds + patience_seconds)
    except TimeoutError:
        round_.result.errors += 1
        round_.result.complaints.append("the round did not end")
    round_.result.seconds = time.perf_counter() - began
    return round_.result
