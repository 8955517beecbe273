"""Money owed and paid: bills, payments, ledger. Other packages import these names only, never models or gateways."""

from payments import reconciliation
from payments.asking import conclude_closed
from payments.bills import BillRefused, Line, issue_bill, reopen_bill, void_bills
from payments.checkout import BillNotPayable, PayerMissing, payment, start_payment
from payments.gateways.base import Ack
from payments.invariants import LedgerReport, ledger_check
from payments.notices import receive_notice
from payments.prices import Price, PriceUnknown, approve_price, price, propose_price
from payments.queries import bill, bills_of, bills_page, open_differences, outstanding, refunds_due
from payments.reconciliation.workplace import use as keep_statements_in
from payments.runtime import ChannelUnavailable, channels_with_statements, configure
from payments.settings import PaymentSettings, WeChatPaySettings
from payments.streams import receive_packet
from payments.unified_settings import UnifiedPaySettings
from payments.views import BillLineView, BillView, PaymentView, RefundDueView

__all__ = [
    "Ack",
    "BillLineView",
    "BillNotPayable",
    "BillRefused",
    "BillView",
    "ChannelUnavailable",
    "LedgerReport",
    "Line",
    "PayerMissing",
    "PaymentSettings",
    "PaymentView",
    "Price",
    "PriceUnknown",
    "RefundDueView",
    "UnifiedPaySettings",
    "WeChatPaySettings",
    "approve_price",
    "bill",
    "bills_of",
    "bills_page",
    "channels_with_statements",
    "conclude_closed",
    "configure",
    "issue_bill",
    "keep_statements_in",
    "ledger_check",
    "open_differences",
    "outstanding",
    "payment",
    "price",
    "propose_price",
    "receive_notice",
    "receive_packet",
    "reconciliation",
    "refunds_due",
    "reopen_bill",
    "start_payment",
    "void_bills",
]
