"""The canonical case states: who may do what, and what the citizen reads; no row is touched here.

Source: national practice of 办件 (case) handling. Four tracks are never mixed in one column: this one is the *case*;
bills, forwarding and delivery have tables of their own. 收件 (the receipt of the platform) is an event, not a state.
"""

from enum import StrEnum

from kernel.state_machine import Edge, Label, Machine


class CaseState(StrEnum):
    """Where an application (办件) stands."""

    DRAFT = "DRAFT"
    SUBMITTED = "SUBMITTED"
    PRE_RETURNED = "PRE_RETURNED"
    CORRECTING = "CORRECTING"
    ACCEPTED = "ACCEPTED"
    NOT_ACCEPTED = "NOT_ACCEPTED"
    PROCESSING = "PROCESSING"
    SPECIAL = "SPECIAL"
    SUSPENDED = "SUSPENDED"
    DEFERRED = "DEFERRED"
    GRANTED = "GRANTED"
    REFUSED = "REFUSED"
    REFERRED_UP = "REFERRED_UP"
    RETURNED = "RETURNED"
    WITHDRAWN = "WITHDRAWN"
    VOID = "VOID"


class Action(StrEnum):
    """What can be done to a case; imperative words."""

    SUBMIT = "submit"
    RETURN_FOR_EDIT = "return_for_edit"
    RESUBMIT = "resubmit"
    ASK_CORRECTION = "ask_correction"
    # The table says "back to the state it came from": the memory is the edge, so there is one action per way back.
    SUPPLY = "supply"
    SUPPLY_ACCEPTED = "supply_accepted"
    EXPIRE = "expire"
    GIVE_UP = "give_up"
    ACCEPT = "accept"
    DECLINE = "decline"
    START = "start"
    OPEN_SPECIAL = "open_special"
    CLOSE_SPECIAL = "close_special"
    SUSPEND = "suspend"
    RESUME = "resume"
    TACIT = "tacit"
    DECIDE_AWAITING_PAPERS = "decide_awaiting_papers"
    PAPERS_COMPLETE = "papers_complete"
    PROMISE_EXPIRED = "promise_expired"
    GRANT = "grant"
    REFUSE = "refuse"
    REFER_UP = "refer_up"
    WITHDRAW = "withdraw"
    VOID = "void"


class By(StrEnum):
    """Who acts. The platform is the one-window platform speaking for the office; staff is our own staff console."""

    APPLICANT = "applicant"
    PLATFORM = "platform"
    STAFF = "staff"
    SYSTEM = "system"


S, A = CaseState, Action
_APPLICANT = frozenset({By.APPLICANT.value})
_OFFICE = frozenset({By.PLATFORM.value, By.STAFF.value})
_SYSTEM = frozenset({By.SYSTEM.value})

LABELS: dict[CaseState, Label] = {
    S.DRAFT: Label("draft", "草稿", False),
    S.SUBMITTED: Label("submitted", "已提交，等待受理", False),
    S.PRE_RETURNED: Label("pre_returned", "请修改后重新提交", False),
    S.CORRECTING: Label("correcting", "需要补正", False),
    S.ACCEPTED: Label("accepted", "已受理", False),
    S.NOT_ACCEPTED: Label("not_accepted", "不予受理", True),
    S.PROCESSING: Label("processing", "办理中", False),
    S.SPECIAL: Label("special", "特别程序", False),
    S.SUSPENDED: Label("suspended", "暂停办理", False),
    S.DEFERRED: Label("deferred", "已容缺受理，请补齐材料", False),
    S.GRANTED: Label("granted", "已办结：准予", True),
    S.REFUSED: Label("refused", "已办结：不予", True),
    S.REFERRED_UP: Label("referred_up", "已转报上级", True),
    S.RETURNED: Label("returned", "已退件", True),
    S.WITHDRAWN: Label("withdrawn", "已撤回", True),
    S.VOID: Label("void", "已作废", True),
}
END_STATES: frozenset[CaseState] = frozenset(state for state, label in LABELS.items() if label.finished)

EDGES: tuple[Edge, ...] = (
    Edge(S.DRAFT, A.SUBMIT, S.SUBMITTED, _APPLICANT),
    Edge(S.SUBMITTED, A.RETURN_FOR_EDIT, S.PRE_RETURNED, _OFFICE),
    Edge(S.PRE_RETURNED, A.RESUBMIT, S.SUBMITTED, _APPLICANT),
    Edge(S.SUBMITTED, A.ASK_CORRECTION, S.CORRECTING, _OFFICE),
    Edge(S.SUBMITTED, A.ACCEPT, S.ACCEPTED, _OFFICE),
    Edge(S.SUBMITTED, A.DECLINE, S.NOT_ACCEPTED, _OFFICE),
    Edge(S.ACCEPTED, A.START, S.PROCESSING, _OFFICE),
    Edge(S.PROCESSING, A.ASK_CORRECTION, S.CORRECTING, _OFFICE),
    # The office may also settle a correction itself, for instance when the paper was handed in at the window.
    Edge(S.CORRECTING, A.SUPPLY, S.SUBMITTED, _APPLICANT | _OFFICE),
    Edge(S.CORRECTING, A.SUPPLY_ACCEPTED, S.PROCESSING, _APPLICANT | _OFFICE),
    Edge(S.CORRECTING, A.EXPIRE, S.RETURNED, _SYSTEM | _OFFICE),
    Edge(S.CORRECTING, A.GIVE_UP, S.RETURNED, _APPLICANT | _OFFICE),
    Edge(S.PROCESSING, A.OPEN_SPECIAL, S.SPECIAL, _OFFICE),
    Edge(S.SPECIAL, A.CLOSE_SPECIAL, S.PROCESSING, _OFFICE),
    Edge(S.PROCESSING, A.SUSPEND, S.SUSPENDED, _OFFICE),
    Edge(S.SUSPENDED, A.RESUME, S.PROCESSING, _OFFICE),
    Edge(S.PROCESSING, A.TACIT, S.PROCESSING, _SYSTEM),
    Edge(S.PROCESSING, A.DECIDE_AWAITING_PAPERS, S.DEFERRED, _OFFICE),
    Edge(S.DEFERRED, A.PAPERS_COMPLETE, S.GRANTED, _OFFICE),
    Edge(S.DEFERRED, A.PROMISE_EXPIRED, S.RETURNED, _SYSTEM | _OFFICE),
    Edge(S.PROCESSING, A.GRANT, S.GRANTED, _OFFICE),
    Edge(S.PROCESSING, A.REFUSE, S.REFUSED, _OFFICE),
    Edge(S.PROCESSING, A.REFER_UP, S.REFERRED_UP, _OFFICE),
    *(Edge(state, A.WITHDRAW, S.WITHDRAWN, _APPLICANT) for state in CaseState if state not in END_STATES),
    *(Edge(state, A.VOID, S.VOID, _OFFICE) for state in CaseState if state is not S.VOID),
)

CASE = Machine("case", edges=list(EDGES), labels=dict[StrEnum, Label](LABELS.items()))
