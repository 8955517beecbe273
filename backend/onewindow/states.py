"""The forwarding track: where a message of ours to the platform stands. It is never mixed with the state of the case."""

from enum import StrEnum

from kernel.state_machine import Edge, Label, Machine


class ForwardingState(StrEnum):
    """How far a message has come."""

    PENDING = "pending"  # certainly nothing of it reached the platform
    SENT = "sent"  # it left us at least once and no conclusive answer is known
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"  # parked: the platform will not take it as it is, a person decides
    DEAD = "dead"  # given up by age; unknown whether it arrived


class Act(StrEnum):
    """What may happen to a message."""

    SEND = "send"
    UNSEND = "unsend"  # the attempt certainly never left
    ACKNOWLEDGE = "acknowledge"
    REFUSE = "refuse"
    GIVE_UP = "give_up"
    REVIVE = "revive"


S, A = ForwardingState, Act

FORWARDING = Machine(
    "forwarding",
    edges=[
        Edge(S.PENDING, A.SEND, S.SENT),
        Edge(S.SENT, A.SEND, S.SENT),
        Edge(S.SENT, A.UNSEND, S.PENDING),
        Edge(S.SENT, A.ACKNOWLEDGE, S.ACKNOWLEDGED),
        # Without sending: nothing to withdraw at a platform that never took the case.
        Edge(S.PENDING, A.ACKNOWLEDGE, S.ACKNOWLEDGED),
        Edge(S.SENT, A.REFUSE, S.REFUSED),
        Edge(S.PENDING, A.REFUSE, S.REFUSED),
        Edge(S.PENDING, A.GIVE_UP, S.DEAD),
        Edge(S.SENT, A.GIVE_UP, S.DEAD),
        Edge(S.REFUSED, A.REVIVE, S.PENDING, frozenset({"operator"})),
        Edge(S.DEAD, A.REVIVE, S.SENT, frozenset({"operator"})),
    ],
    labels={
        S.PENDING: Label("pending", "已提交，正在送往窗口，系统会自动重发，无需重复提交", False),
        S.SENT: Label("sent", "已提交，正在送往窗口，系统会自动重发，无需重复提交", False),
        S.ACKNOWLEDGED: Label("acknowledged", "窗口系统已收到", True),
        S.REFUSED: Label("refused", "窗口系统未能接收，工作人员正在核实", False),
        S.DEAD: Label("dead", "窗口系统长时间无法送达，工作人员正在处理", False),
    },
)
OPEN_STATES = (S.PENDING, S.SENT)
ATTENTION_STATES = (S.REFUSED, S.DEAD)


class EventState(StrEnum):
    """Where an event of the platform stands with us."""

    WAITING = "waiting"  # stored, not applied: earlier ones are missing or it is its turn next
    APPLIED = "applied"
    REVIEW = "review"  # understood as far as possible, a person decides; later events go on
