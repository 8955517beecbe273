"""One bill that cannot be expired must not keep the others open for ever."""

from payments import janitor
from payments.models import Bill, PaymentEvent
from tests.payments.conftest import SUBJECT


async def test_a_bill_that_cannot_expire_does_not_hold_up_the_others(books) -> None:
    broken, sound = await books.issue(key="a", days=1), await books.issue(key="b", days=2, subject=SUBJECT + "1")
    row = await Bill.get(bill_no=broken)
    # Its next event number is taken: what two writers at once, or a restored backup, would leave behind.
    await PaymentEvent.create(
        object_kind="bill",
        object_no=broken,
        seq=row.event_seq + 1,
        action="x",
        source="open",
        target="open",
        by="system",
    )
    books.clock.advance(days=3)
    await janitor.expire_bills()
    assert [(await Bill.get(bill_no=no)).state for no in (broken, sound)] == ["open", "expired"]
