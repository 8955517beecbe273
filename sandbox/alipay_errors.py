"""The refusals of the Alipay sandbox: code, sub code, usual words; who signs them and when they are due is decided elsewhere."""

MESSAGES = {
    "10000": "Success",
    "10003": "Order Success Pay Inprocess",
    "20000": "Service Currently Unavailable",
    "20001": "Insufficient Authorization Permissions",
    "40001": "Missing Required Arguments",
    "40002": "Invalid Arguments",
    "40003": "Insufficient Conditions",
    "40004": "Business Failed",
    "40005": "Call Limited",
    "40006": "Insufficient Permissions",
}
# What a bare code means when a fault names no sub code.
USUAL_SUB_CODES = {
    "20000": "isp.unknow-error",
    "20001": "aop.invalid-auth-token",
    "40001": "isv.missing-method",
    "40002": "isv.invalid-parameter",
    "40003": "isv.missing-signature-config",
    "40004": "ACQ.SYSTEM_ERROR",
    "40005": "isv.app-call-limited",
    "40006": "isv.insufficient-isv-permissions",
}
_SUB_MESSAGES = {
    "isp.unknow-error": "系统繁忙",
    "aop.unknow-error": "系统繁忙",
    "isv.missing-app-id": "缺少APPID参数",
    "isv.invalid-app-id": "无效的AppID参数",
    "isv.missing-method": "缺少方法名参数",
    "isv.invalid-method": "不存在的方法名",
    "isv.missing-signature": "缺少签名参数",
    "isv.invalid-signature": "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配",
    "isv.missing-signature-type": "缺少签名类型参数",
    "isv.invalid-signature-type": "无效的签名类型",
    "isv.missing-app-cert-sn": "缺少应用公钥证书序列号",
    "isv.missing-alipay-root-cert-sn": "缺少支付宝根证书序列号",
    "isv.app-cert-not-exist": "应用公钥证书不存在",
    "isv.alipay-cert-not-exist": "支付宝公钥证书不存在",
    "isv.invalid-alipay-root-cert-sn": "支付宝根证书序列号无效",
    "isv.app-cert-expired": "应用公钥证书已过期",
    "isv.missing-timestamp": "缺少时间戳参数",
    "isv.invalid-timestamp": "非法的时间戳参数",
    "isv.missing-version": "缺少版本参数",
    "isv.invalid-version": "版本参数无效",
    "isv.invalid-format": "无效的数据格式",
    "isv.invalid-charset": "字符集错误",
    "isv.invalid-encoding": "参数的字符集与charset不一致",
    "isv.invalid-parameter": "参数无效",
    "isv.missing-parameter": "缺少必选参数",
    "isv.suspected-attack": "可疑的攻击请求：参数值中包含支付宝的关键字",
    "isv.app-call-limited": "应用调用次数超限，包含调用频率超限",
    "isv.method-call-limited": "API调用次数超限，包含调用频率超限",
    "ACQ.SYSTEM_ERROR": "系统错误",
    "ACQ.INVALID_PARAMETER": "参数无效",
    "ACQ.TRADE_NOT_EXIST": "交易不存在",
    "ACQ.TRADE_HAS_SUCCESS": "交易已被支付",
    "ACQ.TRADE_HAS_CLOSE": "交易已经关闭",
    "ACQ.TRADE_HAS_FINISHED": "交易已完结",
    "ACQ.TRADE_STATUS_ERROR": "交易状态不合法",
    "ACQ.REASON_TRADE_STATUS_INVALID": "交易状态异常",
    "ACQ.REASON_ILLEGAL_STATUS": "交易状态异常",
    "ACQ.CONTEXT_INCONSISTENT": "交易信息被篡改",
    "ACQ.BUYER_SELLER_EQUAL": "买卖家不能相同",
    "ACQ.TOTAL_FEE_EXCEED": "订单总金额不在允许范围内",
    "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR": "当前时间已超过允许支付的时间",
    "ACQ.DISCORDANT_REPEAT_REQUEST": "请求信息不一致",
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": "退款金额无效",
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": "卖家余额不足",
    "ACQ.TRADE_NOT_ALLOW_REFUND": "当前交易不允许退款",
    "NO_BILL_DATA": "账单无数据",
    "BILL_NOT_EXIST": "账单不存在",
    "BILL_DATE_BEFORE_REGISTRATION": "账单日期早于签约日期",
    "TYPE_NOT_SUPPORTED": "账单类型不支持",
    # The spelling is the partner's.
    "INVAILID_ARGUMENTS": "入参不合法",
}


class AlipayError(Exception):
    """A refusal on its way to the client."""

    def __init__(self, code: str, sub_code: str, sub_msg: str | None = None) -> None:
        self.code, self.sub_code = code, sub_code
        self.sub_msg = sub_msg or _SUB_MESSAGES.get(sub_code, "业务处理失败")
        super().__init__(f"{code} {sub_code}: {self.sub_msg}")

    @property
    def business(self) -> bool:
        """Whether it concludes something about a trade; everything else is the gateway speaking."""
        return self.code == "40004"

    def node(self) -> dict[str, str]:
        """The fields of the answer's node."""
        return {
            "code": self.code,
            "msg": MESSAGES.get(self.code, "Unknown"),
            "sub_code": self.sub_code,
            "sub_msg": self.sub_msg,
        }


def missing(name: str) -> AlipayError:
    """A common parameter is missing."""
    return AlipayError("40001", f"isv.missing-{name}")


def invalid(name: str) -> AlipayError:
    """A common parameter has a value the gateway does not take."""
    return AlipayError("40002", f"isv.invalid-{name}")


def refused(sub_code: str, sub_msg: str | None = None) -> AlipayError:
    """A business refusal; codes of the bill calls have no `ACQ.` before them."""
    return AlipayError("40004", sub_code, sub_msg)


def bad_field(name: str, words: str) -> AlipayError:
    """A field of `biz_content` is not as documented."""
    return refused("ACQ.INVALID_PARAMETER", f"参数无效：{name} {words}")


def ordered(code: str | int | None, sub_code: str | None) -> AlipayError:
    """The error that a fault orders: a gateway code, a business code alone, or both."""
    text = "20000" if code is None else str(code)
    if not text.isdigit():
        return refused(text)
    return AlipayError(text, sub_code or USUAL_SUB_CODES.get(text, "isp.unknow-error"))
