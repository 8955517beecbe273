"""docs/unified-pay.md says what the code does: states of receipts, shipped profiles and what they lack."""

from pathlib import Path

import payments
from payments.gateways.unified_pay import profile
from payments.receipt_states import RECEIPT

PAGE = (Path(payments.__file__).parents[1] / "docs" / "unified-pay.md").read_text(encoding="utf-8")


def test_the_table_of_receipts_is_the_code_s():
    rows = [f"| {e.source} | {e.action} | {e.target} | {', '.join(sorted(e.by))} |" for e in RECEIPT.edges]
    assert "\n".join(rows) in PAGE


def test_every_shipped_profile_stands_on_the_page_and_lacks_what_it_says():
    calls = {"close": "close", "refund": "refunds", "receipt_issue": "e-receipts"}
    for path in profile._SHIPPED.glob("*.toml"):
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{path.stem}` |"))
        lacks = row.split("|")[4]
        for call, word in calls.items():
            assert (call not in profile.load(path.stem).operations) == (word in lacks), (path.stem, word)
