"""The payment receipt (缴费凭证) as a paper: what it says, its PDF, and what a stranger is told who verifies it. Computed, never stored."""

import msgspec

import payments
from backend.catalog import queries as catalog
from backend.delivery import queries as delivery
from backend.identity import queries as identity
from backend.identity.actor import Actor
from backend.papers import registry, typesetting
from backend.papers.registry import PaperView
from kernel import clock
from payments import PaymentReceipt, ReceiptView

KIND, _KIND_LABEL, _TITLE = "payment_receipt", "缴费凭证", "政务服务缴费凭证"
_TEMPLATE = "payment_receipt"
# What fits (backend/papers/templates/payment_receipt.typ): Han characters in a row, rows on half a page, lines on a whole one.
_IN_A_ROW, _MOST_OF_A_NAME, _ROWS_ON_HALF, _MOST_LINES = 29, 58, 3, 14
_UNNAMED = "未实名"
_NO_INVOICE = "本凭证不作为报销凭证。"


class _Said(msgspec.Struct, frozen=True):
    """What several sources know of one receipt."""

    receipt: PaymentReceipt
    county: str
    unit: str
    payer: str


async def pdf(*, actor: Actor, receipt_no: str) -> bytes:
    """The receipt of the actor's own payment. Raises NotFound, also for other people's and for unpaid ones."""
    receipt = await payments.payment_receipt(receipt_no=receipt_no, owner_ref=actor.account_ref)
    said = await _said(receipt)
    code = await registry.code_of(kind=KIND, number=receipt_no)
    return await typesetting.pdf(_TEMPLATE, _content(said, code), qr=registry.address_of(code))


async def tell(receipt_no: str) -> PaperView | None:
    """How a receipt stands now, for whoever holds the paper."""
    receipt = await payments.payment_receipt_told(receipt_no=receipt_no)
    if receipt is None:
        return None
    said = await _said(receipt)
    return PaperView(
        kind=KIND, kind_label=_KIND_LABEL, issuer=said.unit, title=receipt.title, holder_mask=said.payer,
        issued_at=clock.local(receipt.paid_at), status=receipt.status, status_label=receipt.label,
        amount_fen=receipt.amount_fen, returned_fen=receipt.returned_fen,
    )  # fmt: skip


async def _said(receipt: PaymentReceipt) -> _Said:
    places = await catalog.regions(parent=None, served=True)
    unit = await catalog.department_name(receipt.unit_code) or delivery.collecting_unit(receipt.unit_code)
    return _Said(
        receipt=receipt,
        county=places[0].name if places else "",
        unit=unit or f"单位 {receipt.unit_code}",
        payer=await identity.name_mask(receipt.payer_ref) or _UNNAMED,
    )


def _content(said: _Said, code: str) -> dict[str, object]:
    receipt = said.receipt
    names = [_shortened(line.name) for line in receipt.lines]
    shown = list(zip(names, receipt.lines, strict=True))[:_MOST_LINES]
    more = len(names) - len(shown)
    return {
        "county": said.county,
        "title": _TITLE,
        "receipt_no": receipt.receipt_no,
        "facts": [
            ("缴款人", said.payer),
            ("收款单位", said.unit),
            ("缴费时间", f"{clock.local(receipt.paid_at):%Y年%m月%d日 %H:%M:%S}"),
            ("支付渠道", receipt.channel_name),
            ("缴费单号", receipt.bill_no),
            ("渠道交易号", receipt.channel_txn_mask),
        ],
        "lines": [
            (name, str(line.quantity), payments.yuan_text(line.price_fen), payments.yuan_text(line.amount_fen))
            for name, line in shown
        ],
        "more": f"另有 {more} 项，详见缴费单，全部应缴 {payments.yuan_text(receipt.due_fen)} 元" if more else "",
        "large": sum(-(-len(name) // _IN_A_ROW) for name in names) > _ROWS_ON_HALF,
        "amount": payments.yuan_text(receipt.amount_fen),
        "capitals": "人民币" + payments.capital_text(receipt.amount_fen),
        "status": receipt.label,
        "settled": receipt.status == "paid",
        "notes": _notes(receipt),
        "no_invoice": _no_invoice(receipt.e_receipt),
        "code": " ".join(code[start : start + 5] for start in range(0, len(code), 5)),
        "address": registry.address_of(code),
    }


def _shortened(name: str) -> str:
    return name if len(name) <= _MOST_OF_A_NAME else name[: _MOST_OF_A_NAME - 1] + "…"


def _notes(receipt: PaymentReceipt) -> list[str]:
    """Where the money stands that is not simply paid."""
    notes = []
    if receipt.amount_fen < receipt.due_fen:
        notes.append(f"本缴费单应缴 {payments.yuan_text(receipt.due_fen)} 元，本凭证只证明其中一次缴费。")
    if receipt.returned_fen:
        notes.append(
            f"已退款 {payments.yuan_text(receipt.returned_fen)} 元（{payments.capital_text(receipt.returned_fen)}）。"
        )
    if receipt.returning_fen:
        notes.append(f"正在退款 {payments.yuan_text(receipt.returning_fen)} 元。")
    if receipt.extra_fen:
        notes.append(f"另多付 {payments.yuan_text(receipt.extra_fen)} 元，按规定原路退回，不计入本凭证金额。")
    return notes


def _no_invoice(e_receipt: ReceiptView | None) -> str:
    """This paper is no fiscal receipt; where there is one, its numbers stand here."""
    if e_receipt is None or not e_receipt.number:
        return _NO_INVOICE + "需要财政电子票据的，请向收款单位索取。"
    parts = [("票据代码", e_receipt.code), ("票据号码", e_receipt.number), ("校验码", e_receipt.check_code)]
    numbers = "，".join(f"{name} {value}" for name, value in parts if value)
    return f"{_NO_INVOICE}财政电子票据见：{numbers}（{e_receipt.label}）。"
