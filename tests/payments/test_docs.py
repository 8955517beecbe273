"""docs/payments.md says what the code does: its tables are compared row by row."""

from pathlib import Path

import payments
from payments import differences, ladder, ledger, receipts, settlement
from payments.refund_states import CAUSES, NEXT_STEPS, REFUND
from payments.states import ATTEMPT, BILL, VOCABULARY

PAGE = Path(payments.__file__).parents[1] / "docs" / "payments.md"
ACCOUNTS = {
    "`channel:<name>:receivable`": (ledger.channel_receivable("x"), "what a channel holds for us until it settles"),
    "`bill:<no>:due`": (ledger.bill_due("x"), "the payer's debt of one bill"),
    "`unit:<code>:income`": (ledger.unit_income("x"), "what a unit has earned, accrued when the bill is published"),
    "`surplus:<payment no>`": (ledger.surplus("x"), "money of one payment that is owed back"),
    "`refund:reserved`": (ledger.refund_reserved(), "set aside for refunds that were approved and are not over"),
    "`suspense:<channel>`": (ledger.suspense("x"), "verified money that nobody could assign yet"),
    "`bank:<unit>`": (
        ledger.bank("x"),
        "a unit's bank account: what channels settled to it, less refunds it paid by hand",
    ),
    "`channel:fees`": (ledger.channel_fees(), "what the channels keep for their service"),
}
DIFFERENCES = {
    "AMOUNT_HIGH": "the channel says more than we asked for",
    "AMOUNT_LOW": "the channel says less than we asked for",
    "CURRENCY": "another currency than ours",
    "PAYER": "paid by somebody else than the order was made for",
    "SECOND_TRANSACTION": "a second transaction under one number",
    differences.CHANNEL_ONLY: "our merchant received money under a number we never made (长款)",
    differences.REFUND_CHANNEL_ONLY: "a refund that we never asked for",
    differences.REFUND_AMOUNT: "the channel refunded another amount or currency than we asked for; nothing settled",
    differences.REFUND_CORRECTED: "a refund that had failed was paid after all; its money was set aside again",
    differences.REFUND_TWICE: "the money went back twice: by two refunds, or by the channel and by bank",
    differences.REFUND_STUCK: "a week without a conclusion about a refund: a person reads the channel's statements",
    differences.REFUND_OTHER_PAYMENT: "a verified statement puts our refund number under another payment",
    differences.REFUND_UNASKED: "the channel refunded under a number of ours that we never sent",
    receipts.MISSING: "paid, and the e-receipt has not come yet; tried on",
    receipts.NOT_REVERSED: "refunded, and the e-receipt is not reversed (冲红) yet; tried on, the refund stands",
    receipts.IN_THE_WAY: "a refund waits because its e-receipt was exchanged for paper",
    "STATUS_OURS_UNPAID": "paid after we had closed it; settled or owed back by itself",
    differences.STUCK: "a week without a conclusion: a person reads the channel's statements",
    differences.FOREIGN_MERCHANT: "a verified statement about another merchant or app",
    "SECURITY_UNREADABLE_NOTICE": "a verified notice that our APIv3 key does not open",
}


def rows(*cells_of_rows) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in cells_of_rows)


def who(edge) -> str:
    return ", ".join(sorted(edge.by))


def tables() -> dict[str, str]:
    return {
        "vocabulary": rows(
            *((f"`{w.status}`", w.label, "yes" if w.finished else "no", w.next_step) for w in VOCABULARY.values())
        ),
        "bill": rows(*((e.source, e.action, e.target, who(e)) for e in BILL.edges)),
        "bill_labels": rows(*((state, f"`{label.status}`", label.label) for state, label in BILL.labels.items())),
        "attempt": rows(*((e.source, e.action, e.target, who(e)) for e in ATTEMPT.edges)),
        "attempt_labels": rows(*((state, f"`{label.status}`", label.label) for state, label in ATTEMPT.labels.items())),
        "ladder": rows(
            ("`PAYMENTS_FAST_CHECKS=true`", ", ".join(map(str, ladder._FAST))),
            ("`PAYMENTS_FAST_CHECKS=false`", ", ".join(map(str, ladder._FIRST))),
        ),
        "accounts": rows(*((name, a.kind, "yes" if a.bounded else "no", text) for name, (a, text) in ACCOUNTS.items())),
        "refund": rows(*((e.source, e.action, e.target, who(e)) for e in REFUND.edges)),
        "refund_labels": rows(
            *(
                (state, f"`{label.status}`", label.label, NEXT_STEPS.get(state, VOCABULARY[label.status].next_step))
                for state, label in REFUND.labels.items()
            )
        ),
        "refund_ladder": rows(("refunds", ", ".join(map(str, ladder._REFUND)))),
        "causes": rows(
            *(
                (f"`{name}`", cause.label, "by rule" if cause.automatic else "two people")
                for name, cause in CAUSES.items()
            )
        ),
        "differences": rows(*((f"`{name}`", text) for name, text in DIFFERENCES.items())),
    }


def test_the_page_holds_every_table_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    for name, table in tables().items():
        assert table in page, f"docs/payments.md: table {name} should read\n{table}"


def test_every_difference_the_code_records_is_on_the_page():
    folder = Path(settlement.__file__).parent
    source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    for name in DIFFERENCES:
        assert f'"{name}"' in source


if __name__ == "__main__":
    # Fills the placeholders of a page that is being written: python -m tests.payments.test_docs
    text = PAGE.read_text(encoding="utf-8")
    for key, table in tables().items():
        text = text.replace("{" + key + "}", table)
    PAGE.write_text(text, encoding="utf-8")
