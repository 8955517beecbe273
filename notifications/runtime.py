"""The channels and settings of this process, handed over once by the wiring."""

from dataclasses import dataclass

from kernel.wechat import WeChat
from notifications.channels.base import Channel
from notifications.channels.wechat_subscribe import WechatSubscribe
from notifications.directory import Directory
from notifications.settings import NotificationSettings


@dataclass(frozen=True)
class Runtime:
    """`channels` are tried in this order; the in-app inbox comes before all of them and is not listed."""

    settings: NotificationSettings
    directory: Directory
    channels: tuple[Channel, ...]
    count_client_reports: bool


_runtime: Runtime | None = None


def configure(
    *, settings: NotificationSettings, directory: Directory, wechat: WeChat | None, push_configured: bool
) -> None:
    """Called once per process. Without push the phone's own report of a tap is counted; with push it is only a hint."""
    global _runtime
    _runtime = Runtime(settings, directory, (WechatSubscribe(wechat, directory),), not push_configured)


def runtime() -> Runtime:
    """What was configured; asking before is a bug of the caller."""
    if _runtime is None:
        raise RuntimeError("notifications.configure() has not been called")
    return _runtime
