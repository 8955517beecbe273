"""What an APIv3 order or refund body may contain: a strict reader of fields; no decision about their meaning."""

import datetime as dt
import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from sandbox.wechat_pay_errors import PayError, bad_field

Check = Callable[[Any, str], None]

_TRADE_NO = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
_REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?([+-]\d\d:\d\d|Z)")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def read_body(raw: bytes) -> dict[str, Any]:
    """The JSON object in the body. Duplicate keys, NaN and anything that is not an object are refused."""
    try:
        content = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except ValueError:
        raise PayError("PARAM_ERROR", "参数错误：请求体不是合法的JSON") from None
    if not isinstance(content, dict):
        raise PayError("PARAM_ERROR", "参数错误：请求体不是JSON对象")
    return content


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def text(maximum: int, minimum: int = 1) -> Check:
    def check(value: Any, at: str) -> None:
        if not isinstance(value, str) or not minimum <= len(value) <= maximum:
            raise bad_field(at, value, f"必须是{minimum}到{maximum}个字符的字符串")

    return check


def pattern(expression: re.Pattern[str], words: str) -> Check:
    def check(value: Any, at: str) -> None:
        if not isinstance(value, str) or expression.fullmatch(value) is None:
            raise bad_field(at, value, words)

    return check


def integer(minimum: int) -> Check:
    def check(value: Any, at: str) -> None:
        # JSON has one number type, Python's bool is an int: 1.0, "1" and true are all refused.
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= 10_000_000_000:
            raise bad_field(at, value, f"必须是不小于{minimum}的整数")

    return check


def boolean(value: Any, at: str) -> None:
    if not isinstance(value, bool):
        raise bad_field(at, value, "必须是布尔值")


def choice(*allowed: str) -> Check:
    def check(value: Any, at: str) -> None:
        if value not in allowed:
            raise bad_field(at, value, f"取值必须是{'、'.join(allowed)}之一")

    return check


def listing(item: Check, minimum: int = 1) -> Check:
    def check(value: Any, at: str) -> None:
        if not isinstance(value, list) or len(value) < minimum:
            raise bad_field(at, value, f"必须是至少有{minimum}项的数组")
        for index, one in enumerate(value):
            item(one, f"{at}/{index}")

    return check


def record(required: dict[str, Check], optional: dict[str, Check] | None = None) -> Check:
    """An object with exactly these fields; a field sent as null is refused like a wrong one."""
    known = {**required, **(optional or {})}

    def check(value: Any, at: str) -> None:
        if not isinstance(value, dict):
            raise bad_field(at or "/", value, "必须是对象")
        for name in value:
            if name not in known:
                raise bad_field(f"{at}/{name}", value[name], "参数中含有非法的额外参数")
        for name in required:
            if name not in value:
                raise bad_field(f"{at}/{name}", None, "缺少必填参数")
        for name, one in value.items():
            known[name](one, f"{at}/{name}")

    return check


def moment(value: Any, at: str) -> None:
    if not isinstance(value, str) or _RFC3339.fullmatch(value) is None or parse_moment(value) is None:
        raise bad_field(at, value, "必须遵循rfc3339标准格式")


def parse_moment(value: str) -> float | None:
    """RFC 3339 to unix seconds; None when the digits name no instant."""
    try:
        found = dt.datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if found.tzinfo is None else found.timestamp()


def address(value: Any, at: str) -> None:
    text(45)(value, at)
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise bad_field(at, value, "不是合法的IP地址") from None


def public_address(value: Any, at: str) -> None:
    """H5 refuses the loopback address: risk control wants the payer's own."""
    address(value, at)
    if ipaddress.ip_address(value).is_loopback:
        raise bad_field(at, value, "不能使用本机地址")


def notify_url(value: Any, at: str) -> None:
    """https without a query string; plain http for a loopback host only, because nobody has a certificate for it."""
    text(255)(value, at)
    parts = urlsplit(value)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not secure or not parts.hostname or "?" in value or "#" in value or parts.path in ("", "/"):
        raise bad_field(at, value, "通知地址必须为外网可访问的https完整路径，不能携带参数")


trade_no = pattern(_TRADE_NO, "商户订单号只能是6到32个数字、大小写字母及_-|*")
refund_no = pattern(_REFUND_NO, "商户退款单号只能是1到64个数字、大小写字母及_-|*@")

_GOODS = record(
    {"merchant_goods_id": text(32), "quantity": integer(1), "unit_price": integer(0)},
    {"wechatpay_goods_id": text(32), "goods_name": text(256)},
)
_STORE = record({"id": text(32)}, {"name": text(256), "area_code": text(32), "address": text(512)})
_SCENE_OPTIONAL: dict[str, Check] = {"device_id": text(32), "store_info": _STORE}
_H5_INFO = record(
    {"type": choice("Wap", "iOS", "Android")},
    {"app_name": text(64), "app_url": text(128), "bundle_id": text(128), "package_name": text(128)},
)

_ORDER_REQUIRED: dict[str, Check] = {
    "appid": text(32),
    "mchid": text(32),
    "description": text(127),
    "out_trade_no": trade_no,
    "notify_url": notify_url,
    "amount": record({"total": integer(1)}, {"currency": choice("CNY")}),
}
_ORDER_OPTIONAL: dict[str, Check] = {
    "time_expire": moment,
    "attach": text(128),
    "goods_tag": text(32),
    "support_fapiao": boolean,
    "limit_pay": listing(choice("no_balance", "no_credit", "no_debit", "balance_only")),
    "settle_info": record({}, {"profit_sharing": boolean}),
    "detail": record({}, {"cost_price": integer(0), "invoice_id": text(32), "goods_detail": listing(_GOODS)}),
}

JSAPI_ORDER = record(
    {**_ORDER_REQUIRED, "payer": record({"openid": text(128)})},
    {**_ORDER_OPTIONAL, "scene_info": record({"payer_client_ip": address}, _SCENE_OPTIONAL)},
)
H5_ORDER = record(
    {
        **_ORDER_REQUIRED,
        "scene_info": record({"payer_client_ip": public_address, "h5_info": _H5_INFO}, _SCENE_OPTIONAL),
    },
    _ORDER_OPTIONAL,
)
CLOSE = record({"mchid": text(32)})
REFUND = record(
    {
        "out_refund_no": refund_no,
        "amount": record(
            {"refund": integer(1), "total": integer(1), "currency": choice("CNY")},
            {"from": listing(record({"account": choice("AVAILABLE", "UNAVAILABLE"), "amount": integer(1)}))},
        ),
    },
    {
        "transaction_id": text(32),
        "out_trade_no": trade_no,
        "reason": text(80),
        "notify_url": notify_url,
        "funds_account": choice("AVAILABLE", "UNSETTLED"),
        "goods_detail": listing(
            record(
                {
                    "merchant_goods_id": text(32),
                    "unit_price": integer(0),
                    "refund_amount": integer(1),
                    "refund_quantity": integer(1),
                },
                {"wechatpay_goods_id": text(32), "goods_name": text(256)},
            )
        ),
    },
)

_DEBIT_BANKS = (
    *("CMB_DEBIT", "COMM_DEBIT", "ABC_DEBIT", "CCB_DEBIT", "ICBC_DEBIT", "BOC_DEBIT", "PAB_DEBIT", "SPDB_DEBIT"),
    *("CITIC_DEBIT", "CEB_DEBIT", "CMBC_DEBIT", "CIB_DEBIT", "GDB_DEBIT", "PSBC_DEBIT", "NBCB_DEBIT"),
)
ABNORMAL_REFUND = record(
    {"out_refund_no": refund_no, "type": choice("USER_BANK_CARD", "MERCHANT_BANK_CARD")},
    {"bank_type": choice(*_DEBIT_BANKS), "bank_account": text(1024), "real_name": text(1024)},
)
