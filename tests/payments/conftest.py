"""A database with one approved price, one channel that a test can play, and books that must agree after every test."""

from datetime import date, timedelta

import pytest

import payments
from kernel import clock, db
from kernel.idempotency import Idempotency
from payments import runtime
from payments.models import Attempt, Bill
from payments.settings import PaymentSettings
from tests.payments.fakes import FakeChannel
from tests.payments.finance import door, office, town  # noqa: F401 - fixtures

UNIT, FEE, OWNER, OPENID = "11620981MB0001001X", "YDZ-BB", "owner-one", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
SUBJECT = "case:620981261119100000015"


@pytest.fixture
def channel():
    fake = FakeChannel()
    runtime.use(PaymentSettings(), {"wechat": fake})
    yield fake
    runtime.use(PaymentSettings(), {})


@pytest.fixture
async def books(database, frozen_clock, channel):
    """Everything a payment test needs; afterwards every invariant of the ledger holds."""
    item = await payments.propose_price(
        unit_code=UNIT,
        fee_code=FEE,
        kind="administrative",
        name="老年人优待证补办工本费",
        unit_name="证",
        price_fen=1000,
        valid_from_on=date(2026, 1, 1),
        approval_price="甘发改价格〔2020〕1号",
        proposed_by="clerk-a",
    )
    await payments.approve_price(fee_item_id=item, approved_by="clerk-b")
    yield Books(channel, frozen_clock)
    report = await payments.ledger_check()
    assert report.violations == []


class Books:
    """Short words for what payment tests do all the time."""

    def __init__(self, channel: FakeChannel, standing) -> None:
        self.channel, self.clock = channel, standing

    async def issue(
        self, *, key: str = "fee:1", days: float = 7, subject: str = SUBJECT, owner: str = OWNER, **more
    ) -> str:
        async with db.transaction():
            return await payments.issue_bill(
                subject=subject,
                owner_ref=owner,
                unit_code=UNIT,
                kind="administrative",
                lines=[payments.Line(fee_code=FEE, name="老年人优待证补办工本费", quantity=1, price_fen=1000)],
                expires_at=clock.now() + timedelta(days=days),
                dedupe_key=key,
                **more,
            )

    async def start(
        self,
        bill_no: str,
        *,
        key: str | None = None,
        owner: str = OWNER,
        channel: str = "wechat_jsapi",
        hash: str = "h",
    ):
        idem = Idempotency(scope=f"{owner}:pay", key=key, request_hash=hash) if key else None
        return await payments.start_payment(
            owner_ref=owner, bill_no=bill_no, channel=channel, payer_openid=OPENID, idem=idem
        )

    async def bill(self, bill_no: str) -> Bill:
        return await Bill.get(bill_no=bill_no)

    async def attempt(self, payment_no: str) -> Attempt:
        return await Attempt.get(payment_no=payment_no)


async def events(topic: str) -> list[dict]:
    """Promises of one topic in the outbox, with their payloads."""
    import json

    rows = await db.fetch("SELECT key, lane, payload FROM kernel_outbox WHERE topic = ? ORDER BY id", topic)
    return [{**row, "payload": json.loads(row["payload"])} for row in rows]


async def ledger_rows() -> list[tuple[str, str, int]]:
    """Every posting: dedupe key, account, amount — numbers of this run blanked out by the caller if they differ."""
    rows = await db.fetch(
        "SELECT t.dedupe_key, a.code, e.amount_fen FROM payments_ledger_entry e JOIN payments_ledger_txn t ON t.id = e.txn_id "
        "JOIN payments_ledger_account a ON a.id = e.account_id ORDER BY t.dedupe_key, a.code"
    )
    return [(row["dedupe_key"], row["code"], row["amount_fen"]) for row in rows]
