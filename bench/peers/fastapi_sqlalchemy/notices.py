"""The peer's payment notices: proof, one ordinary transaction over the same tables, 204. A copy settles nothing."""

import base64
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from fastapi import HTTPException, Request
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

KEY = load_pem_public_key(Path(os.environ["PEER_NOTICE_KEY"]).read_bytes())
CIPHER = AESGCM(os.environ["PEER_NOTICE_SECRET"].encode())
ACTIVE = ("created", "sending", "unknown", "pending", "closing")


def opened(request: Request, raw: bytes) -> tuple[str, dict]:
    """The event's id and what it says; 401 for what is not proven."""
    head = request.headers
    try:
        stamp = int(head["wechatpay-timestamp"])
        signed = f"{stamp}\n{head['wechatpay-nonce']}\n".encode() + raw + b"\n"
        signature = base64.b64decode(head["wechatpay-signature"])
        KEY.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    except (KeyError, ValueError, InvalidSignature):
        raise HTTPException(401) from None
    if abs(stamp - datetime.now(UTC).timestamp()) > 300:
        raise HTTPException(401)
    envelope = json.loads(raw)
    sealed = envelope["resource"]
    plain = CIPHER.decrypt(
        sealed["nonce"].encode(), base64.b64decode(sealed["ciphertext"]), sealed["associated_data"].encode()
    )
    return envelope["id"], json.loads(plain)


async def settle(db: AsyncSession, tables: dict, event_id: str, said: dict, raw: bytes) -> None:
    """Stores the notice and settles its attempt in one transaction. 409 for what does not fit."""
    now = datetime.now(UTC)
    bill_, attempt_, account_, txn_, entry_, evidence_, event_ = (
        tables[f"payments_{name}"]
        for name in ("bill", "attempt", "ledger_account", "ledger_txn", "ledger_entry", "evidence", "event")
    )
    number, txn_id, amount = said["out_trade_no"], said["transaction_id"], said["amount"]["total"]
    async with db.begin():
        inbox = tables["kernel_inbox"]
        new = insert(inbox).values(partner="wechat-pay", external_id=event_id, headers={}, body=base64.b64encode(raw).decode(),
                                   created_at=now, handled_at=now, note="settled")  # fmt: skip
        if await db.scalar(new.on_conflict_do_nothing().returning(inbox.id)) is None:
            return
        bill_id = await db.scalar(select(attempt_.bill_id).where(attempt_.payment_no == number))
        bill = await db.scalar(select(bill_).where(bill_.id == bill_id).with_for_update(key_share=True))
        attempt = await db.scalar(select(attempt_).where(attempt_.payment_no == number).with_for_update(key_share=True))
        if attempt is None or attempt.state != "pending" or bill.state != "open":
            raise HTTPException(409)
        if (attempt.amount_fen, attempt.currency) != (amount, said["amount"]["currency"]):
            raise HTTPException(409)
        codes = (f"bill:{bill.bill_no}:due", "channel:wechat:receivable")
        found = await db.scalars(
            select(account_).where(account_.code.in_(codes)).order_by(account_.code).with_for_update(key_share=True)
        )
        accounts = {account.code: account for account in found}
        due, receivable = (accounts[code] for code in codes)
        if due.balance_fen != amount:
            raise HTTPException(409)
        due.balance_fen -= amount
        proof = evidence_(attempt_id=attempt.id, channel="wechat", kind="notice", source_id=event_id, payment_no=number,
                          channel_txn_id=txn_id, outcome="paid", amount_fen=amount, currency="CNY", occurred_at=now,
                          observed_at=now, raw_ref=f"notice:{event_id}", effect="settled", created_at=now)  # fmt: skip
        posting = txn_(kind="pay", dedupe_key=f"pay:wechat:{txn_id}", bill_no=bill.bill_no, payment_no=number, occurred_at=now,
                       created_at=now)  # fmt: skip
        db.add_all([proof, posting])
        await db.flush()
        db.add_all([entry_(txn_id=posting.id, account_id=receivable.id, amount_fen=amount, created_at=now),
                    entry_(txn_id=posting.id, account_id=due.id, amount_fen=-amount, created_at=now)])  # fmt: skip
        attempt.state, attempt.channel_txn_id, attempt.paid_at = "paid", txn_id, now
        attempt.active_slot = attempt.next_check_at = None
        bill.state = "paid"
        for kind, no, row, action, source in (
            ("attempt", number, attempt, "paid", "pending"), ("bill", bill.bill_no, bill, "pay_full", "open"),
        ):  # fmt: skip
            row.event_seq += 1
            db.add(event_(object_kind=kind, object_no=no, seq=row.event_seq, action=action, source=source, target="paid",
                          by="channel", evidence_id=proof.id, created_at=now))  # fmt: skip
        ms = int(now.timestamp() * 1000)
        db.add(tables["kernel_outbox"](topic="bill.paid", key=f"bill.paid:{bill.bill_no}:{bill.event_seq}", state=0, run_at=ms,
                                       lane=f"bill:{bill.bill_no}", payload={"bill_no": bill.bill_no}, attempts=0, crashes=0,
                                       created_ms=ms))  # fmt: skip
        others = select(attempt_).where(
            attempt_.bill_id == bill.id, attempt_.id != attempt.id, attempt_.state.in_(ACTIVE)
        )
        for other in await db.scalars(others.with_for_update(key_share=True)):
            other.close_wanted = "paid by another attempt"
