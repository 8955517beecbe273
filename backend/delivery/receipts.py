"""The signed receipt (送达回执) of every hand-over: what was done, how it was proved, and that nobody changed it since."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from backend.delivery import parcels
from backend.delivery.models import Parcel, Receipt
from backend.delivery.runtime import runtime
from kernel import batches, clock, crypto, ids, outbox

METHOD_LABELS = {
    "code": "凭签收码签收",
    "exception": "特殊情况签收（已登记照片和签名）",
    "clerk": "经窗口核实后登记签收",
    "window": "窗口领取",
}
_SELF = "self"
_VALID = batches.Models(Receipt, by={"t.parcel_id": "bigint"}, where="t.revoked_at IS NULL", order="t.number DESC")


class ReceiptView(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt as the parties may see it."""

    receipt_no: str
    method: str
    method_label: str
    receiver_relation: str
    at: datetime
    evidence_hashes: tuple[str, ...]
    valid: bool


async def write(
    parcel: Parcel, *, method: str, actor_ref: str, evidence: Sequence[dict[str, str]], relation: str = _SELF
) -> str:
    """Signs and stores the receipt in the transaction of the hand-over and tells the world; answers its number."""
    receipt_no, number = ids.public_id(), await Receipt.filter(parcel_id=parcel.id).count() + 1
    body = canonical(
        {
            "receipt_no": receipt_no,
            "delivery_no": parcel.delivery_no,
            "case_no": parcel.case_no,
            "carrier": parcel.carrier,
            "waybill_no": parcel.waybill_no,
            "method": method,
            "receiver_relation": relation,
            "at": clock.local(clock.now()).isoformat(),
            "actor_ref": actor_ref,
            "evidence_hashes": [one["sha256"] for one in evidence],
        }
    )
    await Receipt.create(
        receipt_no=receipt_no, parcel=parcel, number=number, body=body, signature=sign(body), at=clock.now()
    )
    await outbox.publish(
        "parcel.delivered",
        key=f"parcel.delivered:{receipt_no}",
        payload={"delivery_no": parcel.delivery_no, "case_no": parcel.case_no, "receipt_no": receipt_no},
        lane=parcels.lane(parcel),
    )
    return receipt_no


async def revoke(parcel: Parcel) -> None:
    """A clerk's correction: the receipt stays as it was written and counts no more."""
    await Receipt.filter(parcel_id=parcel.id, revoked_at=None).update(revoked_at=clock.now())


async def current(parcel: Parcel) -> ReceiptView | None:
    """The receipt that counts, or None."""
    row = await _VALID.one(parcel.id)
    if row is None:
        return None
    content = json.loads(row.body)
    return ReceiptView(
        receipt_no=row.receipt_no,
        method=content["method"],
        method_label=METHOD_LABELS[content["method"]],
        receiver_relation=content["receiver_relation"],
        at=clock.local(row.at),
        evidence_hashes=tuple(content["evidence_hashes"]),
        valid=verify(row.body, row.signature),
    )


def canonical(content: dict[str, Any]) -> str:
    """The text that is signed: sorted keys, no blanks, so that everybody writes the same bytes."""
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def sign(body: str) -> str:
    """The server's signature over the canonical text."""
    return hmac.digest(runtime().settings.key.encode(), f"receipt\x1f{body}".encode(), hashlib.sha256).hex()


def verify(body: str, signature: str) -> bool:
    """Whether a receipt is ours and unchanged."""
    return crypto.constant_equal(sign(body), signature)
