"""WeChat's server calls: wechatpy's classes over our own async transport. The only module that imports wechatpy; no product logic."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import structlog
from wechatpy.client import WeChatClient
from wechatpy.constants import WeChatErrorCode
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import APILimitedException, WeChatClientException

from kernel.config import setting
from kernel.http import Answer, NoAnswer, Partner
from kernel.partner_tokens import Fetched, TokenHolder

log = structlog.get_logger(__name__)

# The token is refused: fetch again and repeat exactly once.
TOKEN_REFUSED = frozenset(
    {
        WeChatErrorCode.INVALID_CREDENTIAL.value,
        WeChatErrorCode.INVALID_ACCESS_TOKEN.value,
        WeChatErrorCode.EXPIRED_ACCESS_TOKEN.value,
    }
)
# Nothing but an operator helps: wrong appid or secret, frozen secret, API not granted.
MISCONFIGURED = frozenset({40002, 40013, 40125, 40164, 40243, 41001, 41002, 41004, 48001})
QUOTA_USED_UP = 45009
BUSY = -1

_WITHOUT_TOKEN = frozenset({"/sns/jscode2session", "/cgi-bin/stable_token", "/cgi-bin/token"})
_HOST = "api.weixin.qq.com"  # wechatpy's classes name it; only the path is taken from there
_RID = re.compile(r"\brid: ?([0-9a-f-]{8,40})")
_FIELD = re.compile(r"data\.([a-z_]+\d+)\.value")


class WeChatError(Exception):
    """WeChat answered and said no. Holds the code, the id WeChat's support asks for, and the field it names; no values."""

    def __init__(
        self, call: str, errcode: int | None, reason: str, *, rid: str | None = None, field: str | None = None
    ):
        super().__init__(f"{call}: {reason}" if errcode is None else f"{call}: errcode {errcode}")
        self.call, self.errcode, self.reason, self.rid, self.field = call, errcode, reason, rid, field


@dataclass(frozen=True, kw_only=True)
class WeChatSettings:
    """The mini-program as its console shows it."""

    base_url: str = setting("WECHAT_BASE_URL", help="微信接口地址，正式环境为 https://api.weixin.qq.com")
    appid: str = setting("WECHAT_APPID", help="小程序 AppID")
    secret: str = setting("WECHAT_SECRET", help="小程序 AppSecret", secret=True)
    push_token: str = setting("WECHAT_PUSH_TOKEN", help="消息推送的 Token；不设置则不接收推送", default="", secret=True)
    push_aes_key: str = setting(
        "WECHAT_PUSH_AES_KEY", help="消息推送的 EncodingAESKey（43 个字符，安全模式）", default="", secret=True
    )
    message_state: str = setting(
        "WECHAT_MESSAGE_STATE",
        help="订阅消息打开的小程序版本",
        default="formal",
        choices=("developer", "trial", "formal"),
    )

    def __post_init__(self) -> None:
        """Token and key of the push belong together."""
        if bool(self.push_token) != bool(self.push_aes_key):
            raise ValueError("WECHAT_PUSH_TOKEN 与 WECHAT_PUSH_AES_KEY 必须同时设置")
        if self.push_aes_key and not re.fullmatch(r"[A-Za-z0-9]{43}", self.push_aes_key):
            raise ValueError("WECHAT_PUSH_AES_KEY 必须是 43 个字母或数字")


@dataclass(frozen=True)
class Login:
    """Who holds the phone. WeChat's session_key is deliberately not handed out: nothing of ours needs it."""

    openid: str = field(repr=False)
    unionid: str | None = field(repr=False)


@dataclass(frozen=True)
class Phone:
    """A number WeChat vouches for, without area code."""

    number: str = field(repr=False)
    country_code: str


class _Transport(WeChatClient):  # type: ignore[misc] # wechatpy has no types
    """wechatpy's client whose `_request` is a coroutine, which turns its API methods into awaitables.

    The parent's constructor is not called: it would open a blocking session. Its token fetching, retry and storage are
    never reached.
    """

    def __init__(self, settings: WeChatSettings, partner: Partner) -> None:
        self.appid, self.secret = settings.appid, settings.secret
        self._partner = partner
        self.tokens = TokenHolder(f"wechat:{settings.appid}", self._fetch_token)

    async def _request(self, method: str, url_or_endpoint: str, **kwargs: Any) -> Any:
        path = _path(url_or_endpoint, kwargs.pop("api_base_url", self.API_BASE_URL))
        params = {name: str(value) for name, value in (kwargs.pop("params", None) or {}).items() if value is not None}
        body = _encoded(kwargs.pop("data", None))
        finish = kwargs.pop("result_processor", None)
        if kwargs:
            raise TypeError(f"not supported by this transport: {sorted(kwargs)}")
        if path in _WITHOUT_TOKEN:
            result = await self._once(method, path, params, body)
        else:
            result = await self._with_token(method, path, params, body)
        return finish(result) if finish else result

    async def _with_token(self, method: str, path: str, params: dict[str, str], body: bytes | None) -> Any:
        token = await self.tokens.get()
        try:
            return await self._once(method, path, params | {"access_token": token}, body)
        except WeChatClientException as error:
            if error.errcode not in TOKEN_REFUSED:
                raise
        await self.tokens.drop(token)
        token = await self.tokens.get()
        return await self._once(method, path, params | {"access_token": token}, body)

    async def _once(self, method: str, path: str, params: dict[str, str], body: bytes | None) -> Any:
        call = path.rsplit("/", 1)[-1]
        query = urlencode(params, quote_via=quote, safe="")
        answer = await self._partner.request(
            method.upper(),
            f"{path}?{query}" if query else path,
            body=body,
            headers={"Content-Type": "application/json"} if body is not None else None,
            call=call,
        )
        return self._decoded(call, answer)

    def _decoded(self, call: str, answer: Answer) -> Any:
        if answer.status >= 500:
            raise NoAnswer(self._partner.name, call, f"HTTP {answer.status}")
        if answer.status != 200:
            raise WeChatClientException(None, f"HTTP {answer.status}")
        try:
            result = json.loads(answer.body, strict=False)
        except ValueError:
            return answer.body  # pictures; whoever expects an object refuses this
        if not isinstance(result, dict):
            return answer.body
        code = result.get("errcode", 0)
        errcode = int(code) if isinstance(code, int) or str(code).lstrip("-").isdigit() else BUSY
        if errcode == 0:
            return result
        # Neither request nor response goes into the error: their URL holds the token.
        kind = APILimitedException if errcode == QUOTA_USED_UP else WeChatClientException
        raise kind(errcode, str(result.get("errmsg", "")))

    async def _fetch_token(self) -> Fetched:
        wanted = {"grant_type": "client_credential", "appid": self.appid, "secret": self.secret, "force_refresh": False}
        result = await self._once("post", "/cgi-bin/stable_token", {}, _encoded(wanted))
        match result:
            case {"access_token": str(token), "expires_in": int(seconds)} if token:
                return Fetched(token, seconds)
        raise NoAnswer(self._partner.name, "stable_token", "not a token")


class WeChat:
    """One typed method per endpoint. Raises WeChatError (they said no), NotSent or NoAnswer (kernel.http)."""

    def __init__(self, settings: WeChatSettings, partner: Partner | None = None) -> None:
        self.appid = settings.appid
        self._state = settings.message_state
        self._partner = partner or Partner("wechat", settings.base_url)
        self._client = _Transport(settings, self._partner)

    async def code2session(self, code: str) -> Login:
        """Who tapped, by the code of `wx.login`. A reliable errcode is absent on success: the openid decides."""
        result = await self._call("jscode2session", self._client.wxa.code_to_session(code))
        openid, unionid = result.get("openid"), result.get("unionid")
        if not isinstance(openid, str) or not openid:
            raise WeChatError("jscode2session", None, "answer without openid")
        return Login(openid, unionid if isinstance(unionid, str) else None)

    async def phone_number(self, *, code: str, openid: str) -> Phone:
        """The number behind the button's code. The openid is sent, so that WeChat checks whose code it is."""
        call = "getuserphonenumber"
        request = self._client.post(f"https://{_HOST}/wxa/business/{call}", data={"code": code, "openid": openid})
        match await self._call(call, request):
            case {
                "phone_info": {
                    "purePhoneNumber": str(number),
                    "countryCode": str() | int() as country,
                    "watermark": {"appid": str(appid)},
                }
            }:
                if appid != self.appid:
                    raise WeChatError(call, None, "watermark of another mini-program")
                return Phone(number, str(country))
        raise WeChatError(call, None, "answer without a number")

    async def send_subscribe_message(
        self, *, openid: str, template_id: str, values: Mapping[str, str], page: str | None, lang: str = "zh_CN"
    ) -> None:
        """Hands one message over; WeChat's "accepted" is not delivery. Not idempotent: never repeat after NoAnswer."""
        data = {
            "touser": openid,
            "template_id": template_id,
            "page": page,
            "data": {key: {"value": value} for key, value in values.items()},
            "miniprogram_state": self._state,
            "lang": lang,
        }
        sending = self._client.post(f"https://{_HOST}/cgi-bin/message/subscribe/send", data=data)
        result = await self._call("send", sending)
        if "errcode" not in result:
            raise NoAnswer(self._partner.name, "send", "answer without errcode")

    async def _call(self, call: str, request: Any) -> dict[str, Any]:
        """Awaits one request and turns wechatpy's errors into ours; its types stay inside this module."""
        try:
            result = await request
        except WeChatClientException as error:
            text = str(error.errmsg)
            rid, named = _RID.search(text), _FIELD.search(text)
            refused = WeChatError(
                call,
                error.errcode,
                text if error.errcode is None else "refused",
                rid=rid[1] if rid else None,
                field=named[1] if named else None,
            )
            log.warning("wechat.refused", call=call, errcode=error.errcode, rid=refused.rid, field=refused.field)
            raise refused from None
        if not isinstance(result, dict):
            raise NoAnswer(self._partner.name, call, "not an object")
        return result


def decrypt_push(settings: WeChatSettings, *, encrypted: str, signature: str, timestamp: str, nonce: str) -> bytes:
    """The message inside a push envelope. Raises many kinds of exceptions on bad input: the caller refuses all alike."""
    crypto = WeChatCrypto(settings.push_token, settings.push_aes_key, settings.appid)
    text: str = crypto.decrypt_message({"Encrypt": encrypted}, signature, timestamp, nonce)
    return text.encode()


def _path(url_or_endpoint: str, base: str) -> str:
    """The path on our partner; the host wechatpy would talk to is never used."""
    if not url_or_endpoint.startswith(("http://", "https://")):
        url_or_endpoint = base + url_or_endpoint
    parts = urlsplit(url_or_endpoint)
    if parts.hostname != _HOST or parts.query:
        raise ValueError("this endpoint lives on another host")
    return parts.path


def _encoded(data: Any) -> bytes | None:
    if data is None or isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return data.encode()
    kept = {name: value for name, value in dict(data).items() if value is not None}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()
