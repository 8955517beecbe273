"""Money owed and paid: bills, payments, ledger. Other packages import these names only, never models or gateways."""

from payments import reconciliation
from payments.asking import conclude_closed
from payments.bills import BillRefused, Line, issue_bill, reopen_bill, void_bills
from payments.capitals import capital_text
from payments.checkout import BillNotPayable, PayerMissing, payment, start_payment
from payments.gateways.base import Ack
from payments.invariants import LedgerReport, ledger_check
from payments.money import yuan_text
from payments.notices import receive_notice
from payments.payment_receipts import PaymentReceipt, payment_receipt, payment_receipt_told
from payments.prices import Price, PriceUnknown, approve_price, price, propose_price
from payments.queries import bill, bills_of, bills_page, open_differences, outstanding
from payments.receipt_rows import ReceiptView
from payments.reconciliation.workplace import use as keep_statements_in
from payments.refund_desk import adopt_refund, record_offline_refund, repair_abnormal_refund
from payments.refund_queries import (
    RefundRow,
    refunds_for_people,
    refunds_page,
    refunds_unfinished,
    request_refund_of_bill,
)
from payments.refunds import approve_refund, deny_refund, request_refund, retry_refund
from payments.runtime import ChannelUnavailable, channels_with_statements, configure
from payments.settings import AlipaySettings, PaymentSettings, WeChatPaySettings
from payments.streams import receive_packet
from payments.suspense import explain_suspense
from payments.unified_settings import UnifiedPaySettings
from payments.views import BillLineView, BillView, PaymentView, RefundView

__all__ = [
    "Ack",
    "AlipaySettings",
    "BillLineView",
    "BillNotPayable",
    "BillRefused",
    "BillView",
    "ChannelUnavailable",
    "LedgerReport",
    "Line",
    "PayerMissing",
    "PaymentReceipt",
    "PaymentSettings",
    "PaymentView",
    "Price",
    "PriceUnknown",
    "ReceiptView",
    "RefundRow",
    "RefundView",
    "UnifiedPaySettings",
    "WeChatPaySettings",
    "adopt_refund",
    "approve_price",
    "approve_refund",
    "bill",
    "bills_of",
    "bills_page",
    "capital_text",
    "channels_with_statements",
    "conclude_closed",
    "configure",
    "deny_refund",
    "explain_suspense",
    "issue_bill",
    "keep_statements_in",
    "ledger_check",
    "open_differences",
    "outstanding",
    "payment",
    "payment_receipt",
    "payment_receipt_told",
    "price",
    "propose_price",
    "receive_notice",
    "receive_packet",
    "reconciliation",
    "record_offline_refund",
    "refunds_for_people",
    "refunds_page",
    "refunds_unfinished",
    "reopen_bill",
    "repair_abnormal_refund",
    "request_refund",
    "request_refund_of_bill",
    "retry_refund",
    "start_payment",
    "void_bills",
    "yuan_text",
]
