"""The life of one message on one channel. Unknown is a state: a message that may have arrived is never sent again."""

from enum import StrEnum

from kernel.state_machine import Edge, Label, Machine


class DeliveryState(StrEnum):
    """Where a message stands on one channel."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"
    UNCONFIRMED = "unconfirmed"
    REFUSED = "refused"
    NO_QUOTA = "no_quota"
    NO_ADDRESS = "no_address"
    NOT_CONFIGURED = "not_configured"
    EXPIRED = "expired"
    PARKED = "parked"
    FAILED = "failed"


class DeliveryAction(StrEnum):
    """What happens to it."""

    START = "start"
    RETRY = "retry"
    ACCEPT = "accept"
    REFUSE = "refuse"
    PARK = "park"
    LOSE = "lose"
    CONFIRM = "confirm"
    REPORT_FAILURE = "report_failure"
    GIVE_UP = "give_up"
    SKIP_NO_QUOTA = "skip_no_quota"
    SKIP_NO_ADDRESS = "skip_no_address"
    SKIP_NOT_CONFIGURED = "skip_not_configured"
    EXPIRE = "expire"


_S, _A = DeliveryState, DeliveryAction
_SYSTEM, _PARTNER = frozenset({"system"}), frozenset({"partner"})

DELIVERY = Machine(
    "message delivery",
    edges=[
        Edge(_S.QUEUED, _A.START, _S.SENDING, _SYSTEM),
        Edge(_S.QUEUED, _A.SKIP_NO_QUOTA, _S.NO_QUOTA, _SYSTEM),
        Edge(_S.QUEUED, _A.SKIP_NO_ADDRESS, _S.NO_ADDRESS, _SYSTEM),
        Edge(_S.QUEUED, _A.SKIP_NOT_CONFIGURED, _S.NOT_CONFIGURED, _SYSTEM),
        Edge(_S.QUEUED, _A.EXPIRE, _S.EXPIRED, _SYSTEM),
        Edge(_S.QUEUED, _A.PARK, _S.PARKED, _SYSTEM),
        Edge(_S.SENDING, _A.LOSE, _S.UNKNOWN, _SYSTEM),
        # A slow holder may still learn the outcome after another has already written "unknown".
        *(
            Edge(source, action, target, _SYSTEM)
            for source in (_S.SENDING, _S.UNKNOWN)
            for action, target in (
                (_A.ACCEPT, _S.ACCEPTED),
                (_A.REFUSE, _S.REFUSED),
                (_A.PARK, _S.PARKED),
                (_A.RETRY, _S.QUEUED),
            )
        ),
        # The receipt may overtake the answer to the call.
        *(
            Edge(source, action, target, _PARTNER)
            for source in (_S.SENDING, _S.ACCEPTED, _S.UNKNOWN)
            for action, target in ((_A.CONFIRM, _S.DELIVERED), (_A.REPORT_FAILURE, _S.FAILED))
        ),
        Edge(_S.UNKNOWN, _A.GIVE_UP, _S.UNCONFIRMED, _SYSTEM),
    ],
    labels={
        _S.QUEUED: Label("queued", "等待发送", False),
        _S.SENDING: Label("sending", "正在发送", False),
        _S.ACCEPTED: Label("sent", "已发送", False),
        _S.DELIVERED: Label("delivered", "已送达", True),
        _S.UNKNOWN: Label("unknown", "正在确认是否送达", False),
        _S.UNCONFIRMED: Label("unconfirmed", "未能确认是否送达", True),
        _S.REFUSED: Label("refused", "您未订阅或已关闭这类提醒", True),
        _S.NO_QUOTA: Label("not_subscribed", "您还没有订阅这类提醒", True),
        _S.NO_ADDRESS: Label("no_address", "没有可用的接收方式", True),
        _S.NOT_CONFIGURED: Label("not_configured", "这种提醒方式暂未开通", True),
        _S.EXPIRED: Label("expired", "超过时限未发送", True),
        _S.PARKED: Label("failed", "发送失败，已转人工处理", True),
        _S.FAILED: Label("failed", "未能送达", True),
    },
)
# The message has reached, or may have reached, the person by this channel: the next one is not used.
CARRIED = frozenset({_S.SENDING, _S.ACCEPTED, _S.DELIVERED, _S.UNKNOWN, _S.UNCONFIRMED})
# Ends that are nobody's wish: published as message.failed.
TROUBLE = frozenset({_S.PARKED, _S.EXPIRED, _S.FAILED})
