"""Pushes that may come several in one packet: each message is taken by itself, and the answers go back in their order."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import structlog

from payments import notices, runtime
from payments.gateways.base import Ack, Refusal, Rejected
from payments.gateways.unified_pay.frames import FrameError

log = structlog.get_logger(__name__)

_MOST_MESSAGES = 64


@runtime_checkable
class TakesPackets(Protocol):
    """A gateway whose partner may join messages."""

    def messages(self, raw: bytes) -> list[bytes]:
        """The messages of one packet. Raises FrameError."""
        ...


async def receive_packet(*, channel: str, headers: Mapping[str, str], raw: bytes) -> Ack:
    """Takes a packet: one answer per message that proved itself. The status is the worst of all, so that nothing gets lost.

    A packet that does not end where its last message ends is refused as a whole: nobody knows where a message of it begins.
    """
    gateway = runtime.gateway(channel)
    if not isinstance(gateway, TakesPackets):
        return await notices.receive_notice(channel=channel, headers=headers, raw=raw)
    try:
        parts = gateway.messages(raw)
    except FrameError as error:
        log.warning("payments.packet_refused", channel=channel, reason=str(error), bytes=len(raw))
        return gateway.ack(Rejected(reason=Refusal.BAD_FRAME))
    if len(parts) > _MOST_MESSAGES:
        return gateway.ack(Rejected(reason=Refusal.TOO_LARGE))
    answers = [await notices.receive_notice(channel=channel, headers=headers, raw=part) for part in parts]
    kept = next((one.headers for one in answers if one.body), answers[0].headers)
    return Ack(max(one.status for one in answers), kept, b"".join(one.body for one in answers))
