"""The refusals of the WeChat Pay sandbox: code, status, usual message, signed or not; not when they are due."""

import json
from typing import Any

# code -> (status, usual message, is a business conclusion). Published probes show that answers about identity, format
# and configuration carry no Wechatpay-* header, while conclusions about an order are signed; the `sign_errors`
# setting ("business", "all", "none") of the sandbox lets a test meet every reading of the documentation.
_CODES: dict[str, tuple[int, str, bool]] = {
    "SIGN_ERROR": (401, "签名错误", False),
    "PARAM_ERROR": (400, "参数错误", False),
    "INVALID_REQUEST": (400, "无效请求", False),
    "APPID_MCHID_NOT_MATCH": (400, "商户号和appid没有绑定关系", False),
    "MCH_NOT_EXISTS": (400, "商户号不存在", False),
    "NO_AUTH": (403, "商户无权限", False),
    "ORDERPAID": (400, "订单已支付", True),
    "ORDER_CLOSED": (400, "订单已关闭", True),
    "OUT_TRADE_NO_USED": (403, "商户订单号重复：请求重入时，参数与首次请求时不一致", True),
    "ORDER_NOT_EXIST": (404, "订单不存在", True),
    "RESOURCE_NOT_EXISTS": (404, "查询的资源不存在", True),
    "TRADE_ERROR": (403, "交易错误", True),
    "TRADE_OVERDUE": (403, "订单已经超过可退款的最大期限", True),
    "NOT_ENOUGH": (403, "基本账户余额不足，请充值后重新发起", True),
    "USER_ACCOUNT_ABNORMAL": (403, "用户账户异常或已注销", True),
    "REFUND_FEE_MISMATCH": (400, "退款金额与首次请求不一致", True),
    "NO_STATEMENT_EXIST": (400, "账单文件不存在", True),
    "STATEMENT_CREATING": (400, "账单生成中", True),
    "FREQUENCY_LIMITED": (429, "频率超限", False),
    "SYSTEM_ERROR": (500, "系统错误", False),
}


class PayError(Exception):
    """A refusal on its way to the client."""

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        detail: dict[str, Any] | None = None,
        status: int | None = None,
        business: bool | None = None,
    ) -> None:
        usual_status, usual_message, usual_business = _CODES[code]
        self.code = code
        self.status = usual_status if status is None else status
        self.message = message or usual_message
        self.detail = detail
        self.business = usual_business if business is None else business
        super().__init__(f"{code}: {self.message}")

    def body(self) -> bytes:
        return error_body(self.code, self.message, self.detail)


def error_body(code: str, message: str | None = None, detail: dict[str, Any] | None = None) -> bytes:
    """The error envelope; also used for injected faults, whose codes may be unknown to the table."""
    content: dict[str, Any] = {"code": code, "message": message or usual_message(code)}
    if detail is not None:
        content["detail"] = detail
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def usual_message(code: str) -> str:
    return _CODES[code][1] if code in _CODES else "系统繁忙，请稍后重试"


def bad_field(pointer: str, value: object, issue: str, *, location: str = "body") -> PayError:
    """PARAM_ERROR with the detail object of the documentation; `pointer` is a JSON pointer for bodies."""
    shown = value if isinstance(value, str | int | float | bool) else None
    return PayError(
        "PARAM_ERROR",
        f"参数错误：{issue}",
        detail={"field": pointer, "value": shown, "issue": issue, "location": location},
    )
