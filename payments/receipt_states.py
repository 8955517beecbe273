"""State table of an e-receipt (财政电子票据). A payment without a row has none."""

from enum import StrEnum

from kernel.state_machine import Edge, Label, Machine
from payments.states import CHANNEL, OPERATOR, SYSTEM


class ReceiptState(StrEnum):
    """How a receipt stands."""

    REQUESTED = "requested"
    ISSUED = "issued"
    EXCHANGED_TO_PAPER = "on_paper"
    REVERSAL_REQUESTED = "reversing"
    REVERSED = "reversed"


class ReceiptAction(StrEnum):
    """What may happen to a receipt."""

    ISSUE = "issue"
    EXCHANGE = "exchange"
    PAPER_BACK = "paper_back"
    WANT_REVERSAL = "want_reversal"
    REVERSE = "reverse"


_R, _A = ReceiptState, ReceiptAction
_PROOF, _OURS = frozenset({CHANNEL}), frozenset({SYSTEM, OPERATOR})

RECEIPT = Machine(
    "receipt",
    edges=[
        Edge(_R.REQUESTED, _A.ISSUE, _R.ISSUED, _PROOF),
        Edge(_R.ISSUED, _A.EXCHANGE, _R.EXCHANGED_TO_PAPER, _PROOF),
        Edge(_R.EXCHANGED_TO_PAPER, _A.PAPER_BACK, _R.ISSUED, _PROOF),
        Edge(_R.REQUESTED, _A.WANT_REVERSAL, _R.REVERSAL_REQUESTED, _OURS),
        Edge(_R.ISSUED, _A.WANT_REVERSAL, _R.REVERSAL_REQUESTED, _OURS),
        # Printed between the pre-check and the refund: the refund stands, and the reversal waits for the paper.
        Edge(_R.EXCHANGED_TO_PAPER, _A.WANT_REVERSAL, _R.REVERSAL_REQUESTED, _OURS),
        Edge(_R.REVERSAL_REQUESTED, _A.REVERSE, _R.REVERSED, _PROOF),
    ],
    labels={
        _R.REQUESTED: Label("requested", "正在开具", False),
        _R.ISSUED: Label("issued", "已开具", True),
        _R.EXCHANGED_TO_PAPER: Label("on_paper", "已换开纸质票据", True),
        _R.REVERSAL_REQUESTED: Label("reversing", "正在冲红", False),
        _R.REVERSED: Label("reversed", "已冲红", True),
    },
)
