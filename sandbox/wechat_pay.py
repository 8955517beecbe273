"""The WeChat Pay APIv3 partner on the wire: endpoints, who may call, how answers are signed; no state of its own."""

import asyncio
import base64
import binascii
import contextlib
import json
from collections.abc import Callable
from typing import Any, ClassVar

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from sandbox.exchange import EXCHANGE
from sandbox.partner import Partner, Run
from sandbox.store import Doc
from sandbox.wechat_pay_bills import Bills
from sandbox.wechat_pay_cashier import Cashier
from sandbox.wechat_pay_control import ControlVerbs
from sandbox.wechat_pay_errors import PayError, error_body
from sandbox.wechat_pay_keys import Signer, WechatPayKeys
from sandbox.wechat_pay_messenger import Messenger
from sandbox.wechat_pay_notices import damaged
from sandbox.wechat_pay_orders import Merchant, Orders
from sandbox.wechat_pay_refunds import Refunds
from sandbox.wechat_pay_signing import request_id, seal, verify_request
from sandbox.wechat_pay_times import rfc3339

_USUAL_CODES = {
    400: "PARAM_ERROR",
    401: "SIGN_ERROR",
    403: "NO_AUTH",
    404: "RESOURCE_NOT_EXISTS",
    429: "FREQUENCY_LIMITED",
    500: "SYSTEM_ERROR",
    502: "SERVICE_UNAVAILABLE",
    503: "SERVICE_UNAVAILABLE",
}
_HOLD_SECONDS = 60.0
_TRANSACTIONS = "/v3/pay/transactions"
_REFUNDS = "/v3/refund/domestic/refunds"
# What a call does once it is known to come from the merchant: raw body and nonce in, answer content (None = 204) out.
Work = Callable[[bytes, str], Doc | None]


class WechatPay(Partner):
    """One merchant's view of WeChat Pay."""

    name, title, port_offset = "wechat_pay", "微信支付", 3
    default_config: ClassVar[Doc] = {
        "mchid": "1900000109",
        "appids": ["wxd678efh567hg6787"],
        "key_mode": "both",  # both | public_key (no certificates any more) | certificate (no public key yet)
        "notice_mode": "public_key",  # public_key | certificate
        "sign_errors": "business",  # business | all | none
        "auto_notify": True,
        "probe_first_notice": False,
        "auto_refund": "SUCCESS",  # or CLOSED, ABNORMAL, null: what comes five minutes (scaled) after a refund was accepted
        "balance_fen": None,
        "fee_per_10000": 60,
    }
    fault_effects = ("signature", "hold", "status_after")

    def setup(self) -> None:
        self.wx_keys = WechatPayKeys(self.keys, mchid=str(self.config["mchid"]))

        def scale() -> float:
            return float(self.config["time_scale"])

        self.orders = Orders(self.store, merchant=self.merchant, now=self.now_s, time_scale=scale)
        self.refunds = Refunds(
            self.store,
            self.orders,
            now=self.now_s,
            time_scale=scale,
            balance_fen=lambda: self.config["balance_fen"],
        )
        self.messenger = Messenger(self)
        by_number = f"{_TRANSACTIONS}/out-trade-no/{{no}}"
        self.route("POST", f"{_TRANSACTIONS}/jsapi", self._jsapi, call="jsapi")
        self.route("POST", f"{_TRANSACTIONS}/h5", self._h5, call="h5")
        self.route("GET", by_number, self._query, call="query")
        self.route("GET", f"{_TRANSACTIONS}/id/{{id}}", self._query_transaction, call="query")
        self.route("POST", f"{by_number}/close", self._close, call="close")
        self.route("GET", "/v3/certificates", self._certificates, call="certificates")
        self.route("POST", _REFUNDS, self._refund, call="refund")
        self.route("GET", f"{_REFUNDS}/{{no}}", self._refund_query, call="refund_query")
        self.route("POST", f"{_REFUNDS}/{{id}}/apply-abnormal-refund", self._abnormal, call="abnormal_refund")
        Bills(self)
        Cashier(self)
        ControlVerbs(self)

    def merchant(self) -> Merchant:
        """Who the sandbox believes in, as configured now."""
        return Merchant(mchid=str(self.config["mchid"]), appids=tuple(self.config["appids"]))

    def environment(self) -> dict[str, str]:
        merchant = self.merchant()
        return {
            "WECHATPAY_BASE_URL": self.url,
            "WECHATPAY_MCHID": merchant.mchid,
            "WECHATPAY_APPID": merchant.appids[0],
            "WECHATPAY_MERCHANT_SERIAL": self.wx_keys.merchant.serial,
            "WECHATPAY_MERCHANT_KEY_FILE": str(self.keys.path("wx_mch.p8.pem")),
            "WECHATPAY_APIV3_KEY_FILE": str(self.keys.path("wx_apiv3.key")),
            "WECHATPAY_PUBLIC_KEY_ID": self.wx_keys.public_keys[0].serial,
            "WECHATPAY_PUBLIC_KEY_FILE": str(self.keys.path("wx_pub.pub.pem")),
            "WECHATPAY_NOTIFY_URL": self.notify_url("/api/v1/callbacks/wechat-pay"),
        }

    # -- endpoints -------------------------------------------------------------------------------------------------

    async def _jsapi(self, request: web.Request) -> web.StreamResponse:
        def place(raw: bytes, nonce: str) -> Doc:
            return {"prepay_id": self.orders.place("jsapi", raw, nonce=nonce)}

        return await self.serve(request, await _peek(request, "out_trade_no"), place)

    async def _h5(self, request: web.Request) -> web.StreamResponse:
        def place(raw: bytes, nonce: str) -> Doc:
            return {"h5_url": Cashier.address(self.url, self.orders.place("h5", raw, nonce=nonce))}

        return await self.serve(request, await _peek(request, "out_trade_no"), place)

    async def _query(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["no"]

        def ask(_: bytes, __: str) -> Doc:
            self._check_query_merchant(request)
            return self.orders.query(number)

        return await self.serve(request, number, ask)

    async def _query_transaction(self, request: web.Request) -> web.StreamResponse:
        transaction_id = request.match_info["id"]

        def ask(_: bytes, __: str) -> Doc:
            self._check_query_merchant(request)
            return self.orders.query_transaction(transaction_id)

        return await self.serve(request, transaction_id, ask)

    async def _close(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["no"]

        def close(raw: bytes, _: str) -> None:
            self.orders.close_by_merchant(number, raw)

        return await self.serve(request, number, close)

    async def _certificates(self, request: web.Request) -> web.StreamResponse:
        def show(_: bytes, __: str) -> Doc:
            if self.config["key_mode"] == "public_key":
                raise PayError("RESOURCE_NOT_EXISTS", "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥")
            return {"data": [self._sealed_certificate(one) for one in self.wx_keys.platforms]}

        return await self.serve(request, None, show)

    async def _refund(self, request: web.Request) -> web.StreamResponse:
        def ask(raw: bytes, nonce: str) -> Doc:
            with self.store.transaction():
                refund = self.refunds.ask(raw, nonce=nonce)
                outcome = self.config["auto_refund"]
                if outcome and len(refund["asked"]) == 1:
                    wish = {"no": refund["out_refund_no"], "status": outcome}
                    self.callbacks.later("refund_outcome", wish, after_s=300)
            return self.refunds.view(refund)

        return await self.serve(request, await _peek(request, "out_refund_no"), ask)

    async def _refund_query(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["no"]
        return await self.serve(request, number, lambda _, __: self.refunds.view(self.refunds.query(number)))

    async def _abnormal(self, request: web.Request) -> web.StreamResponse:
        def apply(raw: bytes, _: str) -> Doc:
            named = request.headers.get("Wechatpay-Serial")
            signer = self.wx_keys.find(named) if named else None
            refund = self.refunds.apply_abnormal(
                request.match_info["id"], raw, lambda sealed: None if signer is None else _open_field(signer, sealed)
            )
            return self.refunds.view(refund)

        return await self.serve(request, await _peek(request, "out_refund_no"), apply)

    # -- who is calling --------------------------------------------------------------------------------------------

    async def serve(self, request: web.Request, number: str | None, work: Work) -> web.StreamResponse:
        """Authenticate, let an ordered fault happen, do the work, answer with a proof."""
        raw = await request.read()
        try:
            nonce = self.authenticate(request, raw)
            self.note(request, verdict="ok", nonce=nonce, number=number)
            signer = self._answer_key(request)
            effect = await self.fault(request, number=number)
            notice = self.messenger.watch(number or "") if effect.get("hold") == "until_notice" else None
            content = work(raw, nonce)
        except PayError as error:
            self.note(request, refused=error.code, **({"verdict": error.message} if error.status == 401 else {}))
            return self._refusal(request, error)
        if notice is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(notice.wait(), _HOLD_SECONDS)
        if "status_after" in effect:
            # The partner did it and says that it failed: the answer that must never be believed.
            return self.error_answer(request, int(effect["status_after"]), None)
        if content is None:
            return self._signed(signer, b"", 204, effect)
        return self._signed(signer, self._worded(request, content, effect), 200, effect)

    def authenticate(self, request: web.Request, raw: bytes) -> str:
        """Raises PayError; returns the nonce of a request that is the merchant's."""
        checks_agent = request.path.startswith(("/v3/certificates", "/v3/refund/"))
        if checks_agent and not request.headers.get("User-Agent", "").strip():
            raise PayError("INVALID_REQUEST", "Http头缺少Accept或User-Agent")
        authorization = verify_request(
            header=request.headers.get("Authorization"),
            method=request.method,
            raw_target=request.raw_path,
            body=raw,
            merchant=self.wx_keys.merchant,
            mchid=self.merchant().mchid,
            now=int(self.now_s()),
        )
        if raw and request.content_type != "application/json":
            raise PayError("PARAM_ERROR", "Http头Content-Type的值必须为application/json")
        return authorization.nonce_str

    def _check_query_merchant(self, request: web.Request) -> None:
        mchid = request.query.get("mchid")
        if mchid is None:
            raise PayError("PARAM_ERROR", "输入源“/query/mchid”缺少必填参数")
        if mchid != self.merchant().mchid:
            raise PayError("PARAM_ERROR", "http header中的mchid与query中的mchid不匹配")

    def _answer_key(self, request: web.Request) -> Signer:
        """The key the request names; a request that names none is answered with the platform certificate."""
        named, mode = request.headers.get("Wechatpay-Serial"), self.config["key_mode"]
        usable = {
            "public_key": self.wx_keys.public_keys,
            "certificate": self.wx_keys.platforms,
        }.get(mode, [*self.wx_keys.platforms, *self.wx_keys.public_keys])
        if not named:
            return usable[0]
        found = self.wx_keys.find(named)
        if found is None or found not in usable:
            raise PayError("PARAM_ERROR", "平台证书序列号Wechatpay-Serial错误")
        return found

    # -- answering -------------------------------------------------------------------------------------------------

    def _sealed_certificate(self, signer: Signer) -> Doc:
        if signer.certificate is None:
            raise LookupError("a platform signer has a certificate")
        pem = signer.certificate_pem.encode()
        return {
            "serial_no": signer.serial,
            "effective_time": rfc3339(signer.certificate.not_valid_before_utc.timestamp()),
            "expire_time": rfc3339(signer.certificate.not_valid_after_utc.timestamp()),
            "encrypt_certificate": seal(self.wx_keys.apiv3_key, pem, associated_data="certificate"),
        }

    def _worded(self, request: web.Request, content: Doc, effect: dict[str, Any]) -> bytes:
        """The body, with the hostile shapes whose signature is nevertheless good."""
        body = _compact(content)
        kind = effect.get("body")
        if kind == "duplicate_key":
            first = next(iter(content))
            return b"{" + json.dumps(first).encode() + b':"duplicate",' + body[1:]
        if kind == "reordered":
            return _compact(dict(reversed(list(content.items()))))
        if kind in ("garbage", "truncated") and effect.get("signed"):
            # The base would spoil the body after it was signed; here even the proof is good.
            request[EXCHANGE].effect = {name: value for name, value in effect.items() if name != "body"}
            return b"\x00\xff\xfe{not json" if kind == "garbage" else body[: len(body) // 2]
        return body

    def _signed(self, signer: Signer, body: bytes, status: int, effect: dict[str, Any]) -> web.Response:
        other = next(
            one for one in (self.wx_keys.platforms[0], self.wx_keys.public_keys[0]) if one.serial != signer.serial
        )
        headers = damaged(signer, other, body, now=int(self.now_s()), how=effect.get("signature"))
        return _answer(body, status, headers)

    def _refusal(self, request: web.Request, error: PayError) -> web.Response:
        policy = self.config["sign_errors"]
        # Before the caller is known, nothing is ever signed; afterwards it depends on which documentation one believes.
        known = request[EXCHANGE].facts.get("nonce") is not None
        if known and (policy == "all" or (policy == "business" and error.business)):
            try:
                signer = self._answer_key(request)
            except PayError:
                return _answer(error.body(), error.status, {})
            return self._signed(signer, error.body(), error.status, {})
        return _answer(error.body(), error.status, {})

    def error_answer(self, request: web.Request, status: int, code: str | int | None) -> web.Response:
        fault = request[EXCHANGE].facts.get("fault")
        if fault is None:
            # An unknown path or a wrong method has an empty body; anything else is a failure of ours.
            return _answer(b"" if status in (404, 405) else error_body("SYSTEM_ERROR"), status, {})
        word = str(code) if code is not None else _USUAL_CODES.get(status)
        body = error_body(word) if word is not None else b""
        if not fault.get("signed", status < 300):
            return _answer(body, status, {})
        return self._signed(self._answer_key(request), body, status, fault)


def _answer(body: bytes, status: int, headers: dict[str, str]) -> web.Response:
    headers = {"Request-ID": request_id(), "Cache-Control": "no-cache, must-revalidate", **headers}
    if not body:
        return web.Response(status=status, headers=headers)
    return web.Response(body=body, status=status, headers=headers, content_type="application/json", charset="utf-8")


async def _peek(request: web.Request, name: str) -> str | None:
    """The number a body is about, for faults and the log, before anything has been checked."""
    try:
        found = json.loads(await request.read())
    except ValueError:
        return None
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def _open_field(signer: Signer, sealed: str) -> str | None:
    """A sensitive field: RSA-OAEP with SHA-1, as the guide and the official code use it."""
    scheme = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303
    try:
        return signer.key.decrypt(base64.b64decode(sealed, validate=True), scheme).decode()
    except (binascii.Error, ValueError):
        return None


def _compact(content: Doc) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def build(run: Run) -> WechatPay:
    """Called by the sandbox program."""
    return WechatPay(run)
