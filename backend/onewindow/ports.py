"""What this slice needs from outside, and the one place where wiring hands it over."""

from dataclasses import dataclass
from typing import Protocol

import msgspec

from backend.onewindow.settings import OneWindowSettings
from kernel.http import Partner


class ParcelStep(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to a parcel, in the canonical words of the delivery track."""

    canonical: str
    at: str  # yyyy-MM-dd HH:mm:ss in Asia/Shanghai
    place: str = ""
    text: str = ""


class ParcelReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the platform is told about a parcel of a case."""

    carrier: str
    waybill_no: str
    steps: tuple[ParcelStep, ...]
    proof: str = ""


class ParcelSource(Protocol):
    """The delivery slice's reader. None: there is nothing to tell yet (no waybill) or any more."""

    async def report(self, *, delivery_no: str) -> ParcelReport | None: ...


@dataclass(frozen=True)
class Runtime:
    """The partner and settings of this process."""

    settings: OneWindowSettings
    partner: Partner
    parcels: ParcelSource


_runtime: Runtime | None = None


def configure(*, settings: OneWindowSettings, partner: Partner, parcels: ParcelSource) -> None:
    """Called once per process by wiring, before the first message."""
    global _runtime
    _runtime = Runtime(settings, partner, parcels)


def runtime() -> Runtime:
    """The configured partner; asking before `configure` is a bug of the caller."""
    if _runtime is None:
        raise RuntimeError("backend.onewindow is not configured")
    return _runtime
