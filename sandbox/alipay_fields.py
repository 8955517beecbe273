"""What the `biz_content` of each method may contain: a strict reader of fields; no decision about their meaning."""

import json
import re
from collections.abc import Callable
from typing import Any

from sandbox.alipay_errors import AlipayError, bad_field, invalid, refused
from sandbox.alipay_times import fen_of, parse_stamp

Check = Callable[[Any, str], None]

# Alipay's own key names: a value that contains one looks like an attack to its gateway.
_KEY_NAMES = re.compile(r"(?<![A-Za-z0-9_])(body|subject|out_trade_no|total_fee|seller_id|service)(?![A-Za-z0-9_])")
_NUMBER = re.compile(r"[0-9A-Za-z_]{1,64}")
_DAY = re.compile(r"[0-9]{4}-[0-9][0-9](-[0-9][0-9])?")
_USER = re.compile(r"2088[0-9]{12}")


def read_content(text: str | None) -> dict[str, Any]:
    """The JSON object of `biz_content`. Raises AlipayError for anything else, for duplicate keys and for NaN."""
    if not text:
        raise AlipayError("40001", "isv.missing-parameter", "缺少必选参数 biz_content")
    try:
        content = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except ValueError:
        raise AlipayError("40002", "isv.invalid-parameter", "biz_content 不是合法的JSON") from None
    if not isinstance(content, dict):
        raise invalid("parameter")
    _refuse_key_names(content)
    return content


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _refuse_key_names(value: Any) -> None:
    if isinstance(value, str) and _KEY_NAMES.search(value):
        raise AlipayError("40002", "isv.suspected-attack")
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_key_names(one)


def _text(most: int, forbidden: str = "") -> Check:
    def check(value: Any, name: str) -> None:
        if not isinstance(value, str) or not 1 <= len(value) <= most:
            raise bad_field(name, f"必须是1到{most}个字符的字符串")
        if any(character in value for character in forbidden):
            raise bad_field(name, f"不能包含 {' '.join(forbidden)}")

    return check


def _matching(expression: re.Pattern[str], words: str) -> Check:
    def check(value: Any, name: str) -> None:
        if not isinstance(value, str) or expression.fullmatch(value) is None:
            raise bad_field(name, words)

    return check


def _one_of(*allowed: str) -> Check:
    def check(value: Any, name: str) -> None:
        if value not in allowed:
            raise bad_field(name, f"必须是{'、'.join(allowed)}之一")

    return check


def _amount(value: Any, name: str) -> None:
    # JSON numbers are refused too: amounts are strings with exactly two decimals.
    if fen_of(value) is None:
        raise bad_field(name, "必须是两位小数的字符串，0.01 到 100000000.00")


def _moment(value: Any, name: str) -> None:
    if not isinstance(value, str) or parse_stamp(value) is None:
        raise bad_field(name, "格式为 yyyy-MM-dd HH:mm:ss")


def _list_of(*allowed: str) -> Check:
    def check(value: Any, name: str) -> None:
        if not isinstance(value, list) or any(one not in allowed for one in value):
            raise bad_field(name, f"必须是数组，元素只能是{'、'.join(allowed)}")

    return check


def _anything(_: Any, __: str) -> None:
    """Documented, and without effect on what the sandbox does."""


_trade_number = _matching(_NUMBER, "必须是1到64位字母、数字、下划线")
_trade_no = _text(64)
_ORDER: dict[str, Check] = {
    "out_trade_no": _trade_number,
    "total_amount": _amount,
    "subject": _text(256, "/=&"),
    "body": _text(128),
    "passback_params": _text(512),
    "time_expire": _moment,
    "timeout_express": _text(6),
    "seller_id": _matching(_USER, "必须是2088开头的16位数字"),
    **dict.fromkeys(
        (
            *("business_params", "disable_pay_channels", "enable_pay_channels", "ext_user_info", "extend_params"),
            *("goods_detail", "merchant_order_no", "query_options", "royalty_info", "settle_info", "store_id"),
            "sub_merchant",
        ),
        _anything,
    ),
}
_CREATE: dict[str, Check] = {
    **_ORDER,
    "product_code": _one_of("JSAPI_PAY"),
    "op_app_id": _matching(re.compile(r"[0-9]{16}"), "必须是16位数字"),
    "buyer_id": _matching(_USER, "必须是2088开头的16位数字"),
    "buyer_open_id": _text(128),
    "op_buyer_open_id": _text(128),
    **dict.fromkeys(
        (
            *("agreement_sign_params", "alipay_store_id", "bkagent_req_info", "buyer_logon_id", "discountable_amount"),
            *("logistics_detail", "operator_id", "receiver_address_info", "terminal_id", "undiscountable_amount"),
        ),
        _anything,
    ),
}
_WAP: dict[str, Check] = {
    **_ORDER,
    "product_code": _one_of("QUICK_WAP_WAY"),
    "quit_url": _text(400),
    **dict.fromkeys(("auth_token", "goods_type", "invoice_info", "promo_params", "specified_channel"), _anything),
}
_BY_NUMBER: dict[str, Check] = {"out_trade_no": _trade_number, "trade_no": _trade_no, "org_pid": _anything}
_REFUND_OPTIONS = ("refund_detail_item_list", "deposit_back_info", "refund_voucher_detail_list", "gmt_refund_pay")
_REFUND: dict[str, Check] = {
    **_BY_NUMBER,
    "refund_amount": _amount,
    "out_request_no": _text(64),
    "refund_reason": _text(256),
    "query_options": _list_of(*_REFUND_OPTIONS),
    **dict.fromkeys(
        (
            *("goods_detail", "operator_id", "refund_currency", "refund_goods_detail", "refund_royalty_parameters"),
            *("refund_advance_account", "refund_advance_account_type", "refund_trans_out", "refund_trans_out_type"),
            *("related_settle_confirm_no", "store_id", "terminal_id"),
        ),
        _anything,
    ),
}
_BILL: dict[str, Check] = {
    "bill_type": _text(32),
    "bill_date": _matching(_DAY, "格式为 yyyy-MM-dd 或 yyyy-MM"),
    "secure": _one_of("true", "false"),
    "smid": _anything,
}

WAP_PAY, CREATE, QUERY = "alipay.trade.wap.pay", "alipay.trade.create", "alipay.trade.query"
CLOSE, REFUND = "alipay.trade.close", "alipay.trade.refund"
REFUND_QUERY = "alipay.trade.fastpay.refund.query"
BILL_URL = "alipay.data.dataservice.bill.downloadurl.query"
CERTIFICATE = "alipay.open.app.alipaycert.download"

# method → (documented fields, fields that must be there)
_METHODS: dict[str, tuple[dict[str, Check], tuple[str, ...]]] = {
    WAP_PAY: (_WAP, ("out_trade_no", "total_amount", "subject", "product_code")),
    CREATE: (_CREATE, ("out_trade_no", "total_amount", "subject", "product_code", "op_app_id")),
    QUERY: ({**_BY_NUMBER, "query_options": _list_of("trade_settle_info", "fund_bill_list", "voucher_detail_list", "discount_goods_detail", "mdiscount_amount", "medical_insurance_info")}, ()),
    CLOSE: ({**_BY_NUMBER, "operator_id": _text(28), "extend_params": _anything}, ()),
    REFUND: (_REFUND, ("refund_amount",)),
    REFUND_QUERY: ({**_BY_NUMBER, "out_request_no": _text(64), "query_options": _list_of(*_REFUND_OPTIONS)}, ("out_request_no",)),
    BILL_URL: (_BILL, ("bill_type", "bill_date")),
    CERTIFICATE: ({"alipay_cert_sn": _text(64)}, ("alipay_cert_sn",)),
}  # fmt: skip
METHODS = tuple(_METHODS)


def check_content(method: str, content: dict[str, Any]) -> None:
    """Raises AlipayError for what is missing, malformed or not documented (the last may refund twice in earnest)."""
    fields, needed = _METHODS[method]
    if method == BILL_URL:
        try:
            _check(fields, needed, content)
        except AlipayError as error:
            raise refused("INVAILID_ARGUMENTS", error.sub_msg) from None
        return
    _check(fields, needed, content)
    if "trade_no" in fields and not (content.get("out_trade_no") or content.get("trade_no")):
        raise bad_field("out_trade_no、trade_no", "不能同时为空")
    if method == CREATE and not (content.get("buyer_id") or content.get("buyer_open_id")):
        raise bad_field("buyer_id、buyer_open_id", "不能同时为空")


def _check(fields: dict[str, Check], needed: tuple[str, ...], content: dict[str, Any]) -> None:
    for name in needed:
        if name not in content:
            raise bad_field(name, "不能为空")
    for name, value in content.items():
        if name not in fields:
            raise bad_field(name, "不是文档中的参数")
        fields[name](value, name)
