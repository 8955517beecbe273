"""docs/reconciliation.md says what the code does: its tables are compared row by row."""

from pathlib import Path

import payments
from payments.reconciliation.states import CLASSES, DIFFERENCE_LABELS, RUN

PAGE = Path(payments.__file__).parents[1] / "docs" / "reconciliation.md"


def rows(*lines) -> str:
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def tables() -> dict[str, str]:
    return {
        "run": rows(*((e.source, e.action, e.target) for e in RUN.edges)),
        "run_labels": rows(*((state, label.label) for state, label in RUN.labels.items())),
        "classes": rows(
            *(
                (f"`{name}`", c.label, c.owner, "yes" if c.money else "no", "yes" if c.critical else "no")
                for name, c in CLASSES.items()
            )
        ),
        "difference_labels": rows(*((str(state), label) for state, label in DIFFERENCE_LABELS.items())),
    }


def test_the_page_holds_every_table_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    for name, table in tables().items():
        assert table in page, f"docs/reconciliation.md: table {name} should read\n{table}"


if __name__ == "__main__":
    # Fills the placeholders of a page that is being written: python -m tests.payments.test_reconciliation_docs
    text = PAGE.read_text(encoding="utf-8")
    for key, table in tables().items():
        text = text.replace("{" + key + "}", table)
    PAGE.write_text(text, encoding="utf-8")
