"""Bills that wait for money, and WeChat Pay's notices about them, signed with a key made for this run; the audit of what they left.

Rows go in by COPY over the product's own migrations: an open bill with its posting and balance, and one attempt that is pending.
Signatures are made right before a round, because a notice older than five minutes is refused.
"""

import base64
import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bench.data import County
from bench.load import Shot
from kernel import clock, crypto
from payments.settlement import PAYER_INDEX

FEN, OPENID = 1000, "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
PUBLIC_ID = "PUB_KEY_ID_0119000001092026112000389000000000"
PATH = "/api/v1/callbacks/wechat-pay"
UNIT, RECEIVABLE, INCOME = "11620981MB0001001X", "channel:wechat:receivable", "unit:11620981MB0001001X:income"


def payment_no(number: int) -> str:
    """A payment number that SQL can also build: pgbench needs the same ones."""
    return f"P{number:025d}"


def bill_no(number: int) -> str:
    return f"B{number:025d}"


def event_id(number: int) -> str:
    return f"EV-{payment_no(number)}"


@dataclass
class Till:
    """The partner's side of one run: its key, what it knows of the merchant, and which bills are still unpaid."""

    folder: Path
    mchid: str = ""
    app_id: str = ""
    api_v3_key: bytes = b""
    used: int = 0
    filled: int = 0
    acknowledged: int = 0
    settled_by: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.public_file = self.folder / "notice_key.pem"
        self.public_file.write_bytes(pem)

    def environment(self, known: dict[str, str]) -> dict[str, str]:
        """What whoever takes these notices must be told; `known` are the settings of the merchant."""
        self.mchid, self.app_id = known["WECHATPAY_MCHID"], known["WECHATPAY_APPID"]
        secret = known.get("WECHATPAY_APIV3_KEY") or Path(known["WECHATPAY_APIV3_KEY_FILE"]).read_text().strip()
        self.api_v3_key = secret.encode()
        return {"WECHATPAY_PUBLIC_KEY_ID": PUBLIC_ID, "WECHATPAY_PUBLIC_KEY_FILE": str(self.public_file)}

    def take(self, count: int) -> int:
        """The first of `count` neighbouring bills that nobody has paid yet."""
        first, self.used = self.used, self.used + count
        if self.used > self.filled:
            raise RuntimeError("not enough bills were prepared")
        return first

    def shots(self, port: int, numbers: list[int]) -> list[Shot]:
        """Signed notices as requests; each must be answered 2xx."""
        return [(self.request(port, self.body(number)), b"") for number in numbers]

    def body(self, number: int, *, fen: int = FEN) -> bytes:
        """The notice that a payment was made, sealed with the APIv3 key."""
        plain = {
            "mchid": self.mchid, "appid": self.app_id, "out_trade_no": payment_no(number), "transaction_id": f"4200{number:024d}",
            "trade_type": "JSAPI", "trade_state": "SUCCESS", "trade_state_desc": "支付成功", "bank_type": "OTHERS", "attach": "",
            "success_time": "2026-11-19T10:00:00+08:00", "payer": {"openid": OPENID},
            "amount": {"total": fen, "payer_total": fen, "currency": "CNY", "payer_currency": "CNY"},
        }  # fmt: skip
        nonce = secrets.token_hex(6)
        sealed = AESGCM(self.api_v3_key).encrypt(nonce.encode(), _json(plain), b"transaction")
        resource = {
            "original_type": "transaction", "algorithm": "AEAD_AES_256_GCM", "ciphertext": base64.b64encode(sealed).decode(),
            "associated_data": "transaction", "nonce": nonce,
        }  # fmt: skip
        return _json({
            "id": event_id(number), "create_time": "2026-11-19T10:00:01+08:00", "resource_type": "encrypt-resource",
            "event_type": "TRANSACTION.SUCCESS", "summary": "支付成功", "resource": resource,
        })  # fmt: skip

    def headers(self, body: bytes) -> dict[str, str]:
        """The proof of a body, made now."""
        stamp, nonce = str(int(time.time())), secrets.token_hex(16)
        message = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
        signature = base64.b64encode(self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()
        return {
            "Content-Type": "application/json", "Wechatpay-Timestamp": stamp, "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": PUBLIC_ID, "Wechatpay-Signature": signature,
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }  # fmt: skip

    def request(self, port: int, body: bytes) -> bytes:
        """One HTTP/1.1 request."""
        lines = [f"POST {PATH} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers(body).items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


async def fill(connection: asyncpg.Connection, county: County, till: Till, count: int) -> None:
    """Stores `count` open bills of 10 yuan, each with one pending attempt. The keys of the product must be configured."""
    now, first = clock.now(), till.filled
    end = now + timedelta(days=7)
    ids = await _first_ids(connection)
    shared = await accounts(connection, now)
    index = crypto.blind_index(OPENID, purpose=PAYER_INDEX)
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in _COLUMNS}
    for n in range(count):
        bill, attempt = bill_no(first + n), payment_no(first + n)
        owner = county.owner(first + n).ref
        body = crypto.seal(b"x" * 400, context=f"payments_attempt.request_body:{attempt}")
        bill_id, attempt_id, txn_id, debt = (
            ids[name] + n for name in ("bill", "attempt", "ledger_txn", "ledger_account")
        )
        rows["bill"].append((bill_id, now, bill, bill, UNIT, "administrative", f"bench:{first + n}", owner, "工本费", FEN, 0, FEN, "CNY",
                             False, "refund", "open", 1, 1, end, now))  # fmt: skip
        rows["bill_line"].append((now, bill_id, "YDZ-BB", "工本费", 1, FEN, FEN))
        rows["attempt"].append((attempt_id, now, bill_id, attempt, "wechat", "jsapi", FEN, "CNY", owner, index, "pending",
                                f"{bill_id}:wechat_jsapi:{owner}", body, end, now, 1, now, now + timedelta(hours=1), 0, False, 2))  # fmt: skip
        rows["ledger_account"].append((debt, now, f"bill:{bill}:due", "asset", "CNY", True, FEN))
        rows["ledger_txn"].append((txn_id, now, "publish", f"bill:{bill}:v1", bill, now))
        rows["ledger_entry"] += [(now, txn_id, debt, FEN), (now, txn_id, shared[INCOME], -FEN)]
        rows["event"] += [
            (now, "bill", bill, 1, "publish", "draft", "open", "unit"),
            (now, "attempt", attempt, 1, "send", "created", "sending", "payer"),
            (now, "attempt", attempt, 2, "accepted", "sending", "pending", "channel"),
        ]
    for name, columns in _COLUMNS.items():
        await connection.copy_records_to_table(f"payments_{name}", records=rows[name], columns=columns.split())
        if columns.startswith("id "):
            await connection.execute(f"SELECT setval('payments_{name}_id_seq', (SELECT max(id) FROM payments_{name}))")
        await connection.execute(f"VACUUM ANALYZE payments_{name}")
    till.filled += count


_COLUMNS = {
    "bill": "id created_at bill_no dedupe_key unit_code kind subject owner_ref title gross_fen waived_fen due_fen currency allow_partial "
    "late_policy state version event_seq expires_at published_at",
    "bill_line": "created_at bill_id fee_code name quantity price_fen amount_fen",
    "attempt": "id created_at bill_id payment_no channel product amount_fen currency payer_ref payer_index state active_slot request_body "
    "expires_at sent_at sends ladder_from_at next_check_at checks review_required event_seq",
    "ledger_account": "id created_at code kind currency bounded balance_fen",
    "ledger_txn": "id created_at kind dedupe_key bill_no occurred_at",
    "ledger_entry": "created_at txn_id account_id amount_fen",
    "event": 'created_at object_kind object_no seq action source target by',
}  # fmt: skip


async def accounts(connection: asyncpg.Connection, now: Any) -> dict[str, int]:
    """The two accounts everybody shares; a first payment would open them."""
    for code, kind, unit in ((RECEIVABLE, "asset", None), (INCOME, "income", UNIT)):
        await connection.execute(
            "INSERT INTO payments_ledger_account (created_at, code, kind, unit_code, currency, bounded, balance_fen) "
            "VALUES ($1, $2, $3, $4, 'CNY', false, 0) ON CONFLICT (code) DO NOTHING", now, code, kind, unit
        )  # fmt: skip
    return {row["code"]: row["id"] for row in await connection.fetch("SELECT id, code FROM payments_ledger_account")}


async def _first_ids(connection: asyncpg.Connection) -> dict[str, int]:
    names = [name for name, columns in _COLUMNS.items() if columns.startswith("id ")]
    return {
        # Room for the two accounts that are opened beside them.
        name: int(await connection.fetchval(f"SELECT coalesce(max(id), 0) + 10 FROM payments_{name}"))
        for name in names
    }


_AUDIT = {
    "paid_attempts": "SELECT count(*) FROM payments_attempt WHERE state = 'paid' AND channel_txn_id IS NOT NULL AND active_slot IS NULL",
    "paid_bills": "SELECT count(*) FROM payments_bill WHERE state = 'paid'",
    "postings": "SELECT count(*) FROM payments_ledger_txn WHERE kind = 'pay'",
    "sides": "SELECT count(*) FROM payments_ledger_entry e JOIN payments_ledger_txn t ON t.id = e.txn_id WHERE t.kind = 'pay'",
    "settled_debts": "SELECT count(*) FROM payments_ledger_account WHERE bounded AND balance_fen = 0",
    "evidence": "SELECT count(*) FROM payments_evidence WHERE effect = 'settled' AND attempt_id IS NOT NULL",
    "events": "SELECT count(*) FROM payments_event WHERE evidence_id IS NOT NULL",
    "promises": "SELECT count(*) FROM kernel_outbox WHERE topic = 'bill.paid'",
    "notices": "SELECT count(*) FROM kernel_inbox WHERE handled_at IS NOT NULL AND note = 'settled'",
    "receivable_fen": "SELECT coalesce(sum(amount_fen), 0) FROM payments_ledger_entry e JOIN payments_ledger_account a ON a.id = e.account_id "
    f"WHERE a.code = '{RECEIVABLE}'",
    "unequal": "SELECT count(*) FROM (SELECT txn_id FROM payments_ledger_entry GROUP BY txn_id HAVING sum(amount_fen) <> 0) x",
    "half_done": "SELECT count(*) FROM payments_bill b JOIN payments_attempt a ON a.bill_id = b.id WHERE (b.state = 'paid') <> (a.state = 'paid')",
}  # fmt: skip
PER_NOTICE = {
    "paid_attempts": 1, "paid_bills": 1, "postings": 1, "sides": 2, "settled_debts": 1, "evidence": 1, "events": 2, "promises": 1,
    "notices": 1, "receivable_fen": FEN, "unequal": 0, "half_done": 0,
}  # fmt: skip


async def audit(connection: asyncpg.Connection, acknowledged: int) -> dict[str, Any]:
    """Settled = acknowledged = ledger: every acknowledged payment has all its rows once, and nothing else has any."""
    found = {name: int(await connection.fetchval(sql)) for name, sql in _AUDIT.items()}
    wrong = {
        name: f"{found[name]} instead of {acknowledged * times}"
        for name, times in PER_NOTICE.items()
        if found[name] != acknowledged * times
    }
    return {"acknowledged": acknowledged, "rows": found, "violations": wrong}
