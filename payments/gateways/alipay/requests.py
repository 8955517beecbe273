"""Requests of Alipay built with the official SDK's classes, and nothing else of it: no transport, no parser, no signer.

Its exact modules are imported one by one; the package has 36,000 of them. What the SDK gets wrong is put right here: it drops
empty values without a word, and it takes the time of the process, which is UTC in a container.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from alipay.aop.api.AlipayClientConfig import AlipayClientConfig
from alipay.aop.api.constant.ParamConstants import COMMON_PARAM_KEYS
from alipay.aop.api.DefaultAlipayClient import DefaultAlipayClient
from alipay.aop.api.request.AlipayDataDataserviceBillDownloadurlQueryRequest import (
    AlipayDataDataserviceBillDownloadurlQueryRequest,
)
from alipay.aop.api.request.AlipayOpenAppAlipaycertDownloadRequest import AlipayOpenAppAlipaycertDownloadRequest
from alipay.aop.api.request.AlipayTradeCloseRequest import AlipayTradeCloseRequest
from alipay.aop.api.request.AlipayTradeCreateRequest import AlipayTradeCreateRequest
from alipay.aop.api.request.AlipayTradeFastpayRefundQueryRequest import AlipayTradeFastpayRefundQueryRequest
from alipay.aop.api.request.AlipayTradeQueryRequest import AlipayTradeQueryRequest
from alipay.aop.api.request.AlipayTradeRefundRequest import AlipayTradeRefundRequest
from alipay.aop.api.request.AlipayTradeWapPayRequest import AlipayTradeWapPayRequest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kernel import clock
from payments.gateways import rsa_keys
from payments.gateways.alipay import signing

CHARSET = "utf-8"

WAP_PAY, CREATE, QUERY = "alipay.trade.wap.pay", "alipay.trade.create", "alipay.trade.query"
CLOSE, REFUND = "alipay.trade.close", "alipay.trade.refund"
REFUND_QUERY = "alipay.trade.fastpay.refund.query"
BILL_URL = "alipay.data.dataservice.bill.downloadurl.query"
CERTIFICATE = "alipay.open.app.alipaycert.download"

_ORDER = ("out_trade_no", "total_amount", "subject", "product_code", "time_expire")
# Method → the SDK's request class, and what must be in `biz_content` whatever the SDK made of it.
_METHODS: dict[str, tuple[type[Any], tuple[str, ...]]] = {
    WAP_PAY: (AlipayTradeWapPayRequest, _ORDER),
    CREATE: (AlipayTradeCreateRequest, (*_ORDER, "op_app_id", "buyer_open_id")),
    QUERY: (AlipayTradeQueryRequest, ("out_trade_no",)),
    CLOSE: (AlipayTradeCloseRequest, ("out_trade_no",)),
    REFUND: (AlipayTradeRefundRequest, ("out_trade_no", "refund_amount", "out_request_no")),
    REFUND_QUERY: (AlipayTradeFastpayRefundQueryRequest, ("out_trade_no", "out_request_no")),
    BILL_URL: (AlipayDataDataserviceBillDownloadurlQueryRequest, ("bill_type", "bill_date", "secure")),
    CERTIFICATE: (AlipayOpenAppAlipaycertDownloadRequest, ("alipay_cert_sn",)),
}


@dataclass(frozen=True, kw_only=True)
class Application:
    """Who we are at Alipay. The key never appears in repr."""

    app_id: str
    seller_id: str
    key: RSAPrivateKey = field(repr=False)
    app_cert_sn: str | None = None  # both SNs in certificate mode, neither in key mode
    root_cert_sn: str | None = None


def content(method: str, fields: Mapping[str, Any]) -> bytes:
    """The `biz_content` of a call: what is committed before the first send and sent again unchanged.

    Raises ValueError when a required field is missing or the SDK's model does not carry every field exactly as given.
    """
    request, required = _METHODS[method]
    missing = [name for name in required if not fields.get(name)]
    made = request()
    made.biz_content = dict(fields)
    text: str = made.get_params().get("biz_content", "{}")
    lost = [name for name, value in fields.items() if json.loads(text).get(name) != value]
    if missing or lost or set(json.loads(text)) - set(fields):
        raise ValueError(f"{method}: missing {missing}, lost {lost}")
    return text.encode()


def parameters(
    method: str, biz_content: bytes, application: Application, *, notify_url: str = "", return_url: str = ""
) -> dict[str, str]:
    """All parameters of a call with a fresh time, and their signature. Raises ValueError if the SDK changes the content."""
    request = _METHODS[method][0]()
    request.biz_content = json.loads(biz_content)
    if notify_url:
        request.notify_url = notify_url
    if return_url:
        request.return_url = return_url
    if application.app_cert_sn and application.root_cert_sn:
        request.add_other_text_param("app_cert_sn", application.app_cert_sn)
        request.add_other_text_param("alipay_root_cert_sn", application.root_cert_sn)
    config = AlipayClientConfig()
    config.app_id, config.charset, config.skip_sign = application.app_id, CHARSET, True
    unsigned = DefaultAlipayClient(config).sdk_execute(request)
    found = dict(parse_qsl(unsigned, keep_blank_values=True, strict_parsing=True, encoding=CHARSET, errors="strict"))
    if found["biz_content"].encode() != biz_content:
        raise ValueError(f"{method}: the SDK changed the content")
    found["timestamp"] = stamp()
    return {**found, "sign": rsa_keys.sign(application.key, signing.request_text(found).encode())}


def stamp() -> str:
    """Now, as Alipay wants it: Beijing time without an offset."""
    return clock.local(clock.now()).strftime("%Y-%m-%d %H:%M:%S")


def url(base_url: str, found: Mapping[str, str]) -> str:
    """A signed page for the phone's browser."""
    return f"{base_url}?{urlencode(found, encoding=CHARSET)}"


def on_the_wire(found: Mapping[str, str]) -> tuple[str, bytes]:
    """Query string and form body, divided as the SDK does it: what is common to all calls stands in the query."""
    common = {name: value for name, value in found.items() if name in COMMON_PARAM_KEYS}
    rest = {name: value for name, value in found.items() if name not in COMMON_PARAM_KEYS}
    return urlencode(common, encoding=CHARSET), urlencode(rest, encoding=CHARSET).encode("ascii")
