"""What this slice needs from outside — WeChat's login and the population register — and the one place where wiring
hands it over.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from backend.identity.settings import IdentitySettings


@dataclass(frozen=True)
class WechatPhone:
    """A phone number WeChat vouches for."""

    number: str
    country_code: str


class WechatPort(Protocol):
    """WeChat's two server calls behind a login. Both raise Problems with a text for the person."""

    async def openid_for(self, *, code: str) -> str: ...
    async def phone_for(self, *, code: str, openid: str) -> WechatPhone: ...


class RegisterOutcome(StrEnum):
    """What the population register says about a name and a number."""

    MATCH = "match"
    NAME_MISMATCH = "name_mismatch"
    UNKNOWN = "unknown"
    DECEASED = "deceased"
    MINOR = "minor"
    NEEDS_CLERK = "needs_clerk"  # the register holds a placeholder for a rare character: not a rejection
    UNAVAILABLE = "unavailable"  # no trustworthy answer: nothing may be concluded


class RegisterPort(Protocol):
    """The population register's one question. Never raises for a partner's trouble: that is UNAVAILABLE."""

    async def verify(self, *, name: str, id_number: str, request_no: str) -> RegisterOutcome: ...


@dataclass(frozen=True)
class Runtime:
    """The partners and settings of this process."""

    settings: IdentitySettings
    wechat: WechatPort
    register: RegisterPort


_runtime: Runtime | None = None


def configure(*, settings: IdentitySettings, wechat: WechatPort, register: RegisterPort) -> None:
    """Called once per process by wiring, before the first request."""
    global _runtime
    _runtime = Runtime(settings, wechat, register)


def runtime() -> Runtime:
    """The configured partners; asking before `configure` is a bug of the caller."""
    if _runtime is None:
        raise RuntimeError("backend.identity is not configured")
    return _runtime
