"""Counters of this process and the loopback page that shows them. Labels are names we chose, never personal data."""

import asyncio
import ipaddress
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from kernel.config import setting
from kernel.listening import bound

REGISTRY = CollectorRegistry()
_REQUEST_SECONDS = 5


@dataclass(frozen=True, kw_only=True)
class MetricsSettings:
    """Where this process shows its counters."""

    port: int = setting(
        "METRICS_PORT", help="指标监听端口，只在本机 127.0.0.1 上；0 表示不监听", default=0, minimum=0, maximum=65535
    )
    address: str = setting("METRICS_ADDRESS", help="指标监听地址，只能是本机回环地址", default="127.0.0.1")

    def __post_init__(self) -> None:
        """Metrics tell an attacker how we are: they never leave the machine by themselves."""
        if not _is_loopback(self.address):
            raise ValueError("METRICS_ADDRESS 只能是回环地址，例如 127.0.0.1")


def counter(name: str, text: str, *labels: str) -> Counter:
    """A number that only grows."""
    return Counter(name, text, labels, registry=REGISTRY)


def gauge(name: str, text: str, *labels: str) -> Gauge:
    """A number that goes up and down."""
    return Gauge(name, text, labels, registry=REGISTRY)


def histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Histogram:
    """A distribution, in seconds unless the name says otherwise."""
    return Histogram(name, text, labels, registry=REGISTRY, buckets=buckets)


def page() -> bytes:
    """Everything counted so far, in the text format of Prometheus."""
    return generate_latest(REGISTRY)


class CannotListen(Exception):
    """The port for the counters is not to be had."""


async def listen(settings: MetricsSettings) -> asyncio.Server | None:
    """Serves `GET /metrics` in the running loop, in API and worker alike; None when no port is set.

    Raises CannotListen.
    """
    if settings.port == 0:
        return None
    try:
        mine = await bound(settings.address, settings.port)
        return await asyncio.start_server(_answer, sock=mine, limit=8192)
    except OSError as error:
        raise CannotListen(f"METRICS_PORT：端口 {settings.port} 无法监听，可能已被占用") from error


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(_REQUEST_SECONDS):
            asked = await reader.readuntil(b"\r\n\r\n")
        wanted = asked.split(b" ", 2)[:2] == [b"GET", b"/metrics"]
        body = page() if wanted else b"not found\n"
        status = "200 OK" if wanted else "404 Not Found"
        kind = CONTENT_TYPE_LATEST if wanted else "text/plain"
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        async with asyncio.timeout(_REQUEST_SECONDS):
            await writer.drain()
    except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return  # a scraper that hangs up or talks nonsense is nobody's problem
    finally:
        writer.close()


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
