"""What only people do about refunds: paying by bank, sending an abnormal one on, registering one made on the merchant site."""

from kernel import clock, db
from kernel.problems import Conflict, Invalid, NotFound
from payments import ledger, refund_asking, refund_postings, refund_settlement, refunds, runtime, transitions
from payments.four_eyes import SamePerson, same_person
from payments.gateways.base import EvidenceKind
from payments.gateways.refund_port import RefundOrder, RefundOutcome, RepairDraft
from payments.models import Attempt, Refund
from payments.refund_states import RefundAction
from payments.settlement import Effect
from payments.states import OPERATOR

_FOUND = (RefundOutcome.PROCESSING, RefundOutcome.SUCCESS, RefundOutcome.ABNORMAL)


async def record_offline_refund(*, refund_no: str, document: str, recorded_by: str, approved_by: str) -> None:
    """The unit paid an abnormal refund from its bank account: two people and the document of the payment.

    Raises NotFound, SamePerson (403), Invalid without a document, IllegalTransition for a refund that is not abnormal.
    """
    if not document.strip():
        raise Invalid("线下退款要写明付款凭证，例如银行回单编号")
    async with db.transaction():
        bill, attempt, refund = await refunds.lock_refund(refund_no)
        same = same_person(recorded_by, approved_by)
        if same:
            note = f"经办人和复核人相同：{approved_by}"
            await transitions.note_refund(refund, "offline_refused", by=OPERATOR, note=note)
        else:
            refund.document, refund.decided_by, refund.last_error = document[:200], approved_by[:64], None
            note = f"{recorded_by}、{approved_by}：{document}"
            await transitions.step_refund(bill, refund, RefundAction.OFFLINE, by=OPERATOR, note=note)
            await refund_postings.offline(bill, attempt, refund)
            await refund_settlement.after_success(bill, attempt, refund, by=OPERATOR)
    if same:
        raise SamePerson


async def repair_abnormal_refund(
    *, refund_no: str, actor: str, bank_type: str = "", account: str = "", holder: str = ""
) -> Effect:
    """Sends an abnormal refund on: to the payer's bank card, or without one to the merchant's own for an offline payment.

    The card never reaches a row or a log. What became of it comes by answer, query or notice.
    """
    known = await Refund.get_or_none(refund_no=refund_no)
    if known is None:
        raise NotFound("没有找到这笔退款")
    port = runtime.gateway(known.channel).refunds
    if not port.capabilities.can_repair_abnormal or known.channel_refund_id is None:
        raise Conflict("这笔退款不能通过支付渠道重新付款，请线下退款")
    if bool(account) != bool(bank_type and holder):
        raise Invalid("退到缴费人银行卡需要银行类型、卡号和户名")
    try:
        draft = RepairDraft(refund_no=refund_no, bank_type=bank_type, account=account, holder=holder)
        body = port.repair_body(draft)
    except ValueError:
        raise Conflict("还没有支付渠道的加密公钥，请稍后再试") from None
    async with db.transaction():
        bill, _, refund = await refunds.lock_refund(refund_no)
        refund.ladder_from_at = refund.sent_at = clock.now()
        refund.next_check_at, refund.last_error = clock.now(), None
        await transitions.step_refund(bill, refund, RefundAction.APPLY_ABNORMAL, by=OPERATOR, note=actor)
    order = await refund_asking.order_of(refund)
    evidence = await refund_asking.called(
        refund,
        EvidenceKind.REPLY,
        lambda: port.repair_abnormal(order, channel_refund_id=refund.channel_refund_id or "", body=body),
    )
    if evidence.outcome in (RefundOutcome.SUCCESS, RefundOutcome.ABNORMAL):
        return await refund_settlement.apply_refund_evidence(evidence)
    # Refused, silent or taken: the refund itself says best what it is now.
    return await refund_asking.work_on(refund_no)


async def adopt_refund(*, refund_no: str, payment_no: str, reason: str, requested_by: str) -> str:
    """Registers a refund that somebody made on the merchant site: first the channel proves it, then another person approves.

    It is never sent by us. Raises NotFound when the channel does not prove such a refund of this payment.
    """
    await refund_asking.settle_payment_first(channel=await _channel_of(payment_no), payment_no=payment_no)
    attempt = await Attempt.get(payment_no=payment_no)
    port = runtime.gateway(attempt.channel).refunds
    order = RefundOrder(
        refund_no=refund_no, payment_no=payment_no, channel_txn_id=attempt.channel_txn_id or "",
        amount_fen=0, currency=attempt.currency, body=b"",
    )  # fmt: skip
    evidence = await port.query(order)
    if evidence.outcome not in _FOUND or evidence.payment_no != payment_no or evidence.amount_fen is None:
        raise NotFound("支付渠道没有证明这笔支付有这样一笔退款")
    async with db.transaction():
        bill, attempt = await refunds.lock_payment(payment_no)
        if await Refund.filter(refund_no=refund_no).exists():
            raise Conflict("这笔退款已经登记过")
        if evidence.amount_fen > await refunds.left_over(attempt):
            raise refunds.RefundNotPossible("渠道退款金额超过这笔支付能退的金额，请先查明")
        source = "income" if evidence.amount_fen <= await refunds.left_of_income(bill, attempt) else "surplus"
        if source == "surplus" and evidence.amount_fen > await ledger.balance(ledger.surplus(payment_no)):
            raise refunds.RefundNotPossible("这笔钱已由在途的退款占用，请先处理那笔退款")
        refund = refunds.draft(
            bill, attempt, amount_fen=evidence.amount_fen, cause="operator", source=source, by=requested_by
        )  # fmt: skip
        refund.refund_no, refund.way = refund_no, refunds.ADOPTED_WAY
        refund.reason = refunds.sealed(refund, reason)
        refund.channel_refund_id = evidence.channel_refund_id
        await refund.save()
    return refund_no


async def _channel_of(payment_no: str) -> str:
    attempt = await Attempt.get_or_none(payment_no=payment_no)
    if attempt is None:
        raise NotFound("没有找到这笔支付")
    return str(attempt.channel)
