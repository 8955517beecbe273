"""How long messages are worth sending and how long an unclear delivery is waited for."""

from dataclasses import dataclass

from kernel.config import setting


@dataclass(frozen=True, kw_only=True)
class NotificationSettings:
    """Deadlines of messages."""

    expire_hours: int = setting(
        "NOTIFY_EXPIRE_HOURS",
        help="消息在站外渠道最多等待发送的小时数，过期只保留站内消息",
        default=48,
        minimum=1,
        maximum=720,
    )
    unconfirmed_hours: int = setting(
        "NOTIFY_UNCONFIRMED_HOURS",
        help="发送结果不明时等待微信回执的小时数",
        default=24,
        minimum=1,
        maximum=168,
    )
