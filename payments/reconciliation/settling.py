"""The third leg in the ledger: what left a channel for the bank, and what the channel kept for itself."""

from datetime import date, timedelta

from kernel import db
from payments import ledger, runtime
from payments.reconciliation import own_rows
from payments.reconciliation.scratch import Desk


async def post(channel: str, day: date, desk: Desk) -> int:
    """Posts every movement to the bank by its flow number, and the day's fees in one sum; answers the fees in fen.

    Fees are one posting a day and not one per line: a million lines would be a million postings that all say the same account.
    A file that is fetched again posts nothing twice; when its fees differ from what was posted, the class FEE shows it.
    """
    async for batch in desk.batches(desk.scratch.movements()):
        async with db.transaction():
            for flow, amount_fen, came_back, at in batch:
                signed = -amount_fen if came_back else amount_fen
                await ledger.post(
                    kind="settle",
                    dedupe_key=f"settle:{channel}:{flow}",
                    occurred_at=at,
                    entries=[
                        ledger.Entry(ledger.bank(runtime.settings().bank_unit), signed),
                        ledger.Entry(ledger.channel_receivable(channel), -signed),
                    ],
                )
    fees_fen = await desk.do(desk.scratch.fees)
    if fees_fen:
        async with db.transaction():
            await ledger.post(
                kind="settle",
                dedupe_key=f"settle:{channel}:fees-{day.isoformat()}",
                occurred_at=own_rows.bounds(day)[1] - timedelta(seconds=1),
                entries=[
                    ledger.Entry(ledger.channel_fees(), fees_fen),
                    ledger.Entry(ledger.channel_receivable(channel), -fees_fen),
                ],
            )
    return fees_fen
