"""Bugs on purpose: each takes one safeguard out of the product; a campaign with a mutant must find failing seeds, or the net has a hole.

`python -m tests.chaos 1-60 --mutant NAME`, or `python -m tests.chaos.mutants` for all of them. They are put in place at run
time and never touch the product's files. Not in the list, because no money goes wrong by it: leaving the other orders of a paid
bill open. What is still paid there is surplus and given back.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from kernel import crypto, db, ids, outbox
from payments import ledger, refund_asking, refund_settlement, refunds, settlement, transitions
from payments.gateways.base import Outcome
from payments.gateways.refund_port import RefundOutcome
from payments.models import Attempt, Refund


def settles_without_a_dedupe_key() -> None:
    """The ledger no longer refuses the same transaction of the channel twice, and a settled attempt is settled again."""
    post, applied = ledger.post, settlement._APPLY[Outcome.PAID]

    async def twice(**posting: Any) -> bool:
        if posting["kind"] == "pay":
            posting["dedupe_key"] = f"pay:{ids.public_id()}:{posting['dedupe_key']}"[:120]
        return await post(**posting)

    async def paid(scene: Any) -> Any:
        if scene.attempt.state == "paid":
            await twice(
                kind="pay", dedupe_key=f"again:{scene.evidence.channel_txn_id}", occurred_at=scene.evidence.observed_at,
                entries=[
                    ledger.Entry(ledger.channel_receivable(scene.attempt.channel), scene.attempt.amount_fen),
                    ledger.Entry(ledger.surplus(scene.attempt.payment_no), -scene.attempt.amount_fen),
                ],
                bill_no=scene.bill.bill_no, payment_no=scene.attempt.payment_no,
            )  # fmt: skip
        return await applied(scene)

    ledger.post = twice
    settlement._APPLY[Outcome.PAID] = paid


def closes_here_before_the_channel_closed() -> None:
    """A wish to close is the end: nobody asks the channel."""
    want = transitions.want_close

    async def closed(attempt: Attempt, **words: Any) -> None:
        await want(attempt, **words)
        if attempt.state == "closing":
            attempt.state, attempt.active_slot, attempt.next_check_at = "closed", None, None
            await attempt.save()

    transitions.want_close = closed


def makes_a_new_number_for_every_try() -> None:
    """A refund that is sent again gets a new number."""
    send = refund_asking._send

    async def renamed(refund_no: str) -> Any:
        refund = await Refund.get(refund_no=refund_no)
        if refund.sends > 1 and refund.request_body is not None:
            old, refund.refund_no = refund.refund_no, ids.number()
            body = crypto.unseal(refund.request_body, context=refund_asking._body_context(old))
            refund.request_body = crypto.seal(
                body.replace(old.encode(), refund.refund_no.encode()),
                context=refund_asking._body_context(refund.refund_no),
            )
            await refund.save()
        return await send(refund.refund_no)

    refund_asking._send = renamed


def keeps_the_surplus() -> None:
    """Money that no bill takes is not given back."""

    async def nothing(*_: object, **__: object) -> None:
        return None

    refunds.owe_back = nothing


def believes_silence_is_a_refusal() -> None:
    """No answer to an order means that there is none."""

    async def refused(scene: Any) -> Any:
        scene.attempt.sends = 1
        return await settlement._refused(scene)

    settlement._APPLY[Outcome.NO_REPLY] = lambda scene: (
        refused(scene) if scene.attempt.state == "sending" else settlement._no_reply(scene)
    )


def calls_a_silent_refund_failed() -> None:
    """No answer to a refund means that it did not happen."""

    async def failed(scene: Any) -> Any:
        scene.refund.sends = 1
        return await refund_settlement._refused(scene)

    refund_settlement._APPLY[RefundOutcome.NO_REPLY] = lambda scene: (
        failed(scene) if scene.refund.state == "sending" else refund_settlement._no_reply(scene)
    )


def settles_in_two_transactions() -> None:
    """The ledger is written in one transaction and the state in the next: a kill between them tears them apart."""
    post = ledger.post

    async def apart(**posting: Any) -> bool:
        done = await post(**posting)
        if posting["kind"] == "pay" and db.engine() == "sqlite":
            await db.execute("COMMIT")
            await db.execute("BEGIN IMMEDIATE")
        return done

    ledger.post = apart


def tells_before_it_is_true() -> None:
    """News of a payment is sent for every statement about it."""
    derive = transitions.derive

    async def twice(bill: Any, **words: Any) -> None:
        await derive(bill, **words)
        await outbox.publish(
            "bill.paid", key=f"bill.paid:{ids.public_id()}", payload={"bill_no": bill.bill_no, "subject": bill.subject}
        )

    transitions.derive = twice


def forgets_the_limit_of_refunds() -> None:
    """Requests that are under way do not count against what may be given back."""

    async def everything(attempt: Attempt, *, source: str | None = None) -> int:
        return 0

    refunds._held = everything


def applies_a_refund_without_its_lock() -> None:
    """Evidence about a refund is judged on what was read before, not on the locked row; a success is booked again."""
    known = refund_settlement._APPLY[RefundOutcome.SUCCESS]

    async def success(scene: Any) -> Any:
        if scene.refund.state == "success":
            await ledger.post(
                kind="refund_success", dedupe_key=f"refund:{ids.public_id()}", occurred_at=scene.evidence.observed_at,
                entries=[
                    ledger.Entry(ledger.refund_reserved(), scene.refund.amount_fen),
                    ledger.Entry(ledger.channel_receivable(scene.refund.channel), -scene.refund.amount_fen),
                ],
                refund_no=scene.refund.refund_no,
            )  # fmt: skip
        return await known(scene)

    refund_settlement._APPLY[RefundOutcome.SUCCESS] = success


MUTANTS: dict[str, Callable[[], None]] = {
    function.__name__: function
    for function in (
        settles_without_a_dedupe_key, closes_here_before_the_channel_closed, makes_a_new_number_for_every_try, keeps_the_surplus,
        believes_silence_is_a_refusal, calls_a_silent_refund_failed, settles_in_two_transactions,
        tells_before_it_is_true, forgets_the_limit_of_refunds, applies_a_refund_without_its_lock,
    )
}  # fmt: skip


def main() -> int:
    """Every mutant against the default seeds; exit code 1 when one survives."""
    alive = []
    seeds = sys.argv[1] if len(sys.argv) > 1 else "1-60"
    for name in MUTANTS:
        command = [sys.executable, "-m", "tests.chaos", seeds, "--mutant", name, "--until-failed"]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        words = next((line for line in told.stdout.splitlines() if "FAILED" in line), "SURVIVED")
        print(f"{name}: {words.split(';')[0]}", flush=True)
        if told.returncode == 0:
            alive.append(name)
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
