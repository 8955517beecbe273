"""The WeChat platform as a mini-program's server meets it: tokens, login, phone numbers, subscribe messages, message push."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sandbox.keys import ALPHANUMERIC
from sandbox.partner import Handler, Partner, Run
from sandbox.store import Doc
from sandbox.wechat_control import WeChatControl
from sandbox.wechat_errors import WeChatError, body_of
from sandbox.wechat_messages import Subscriptions
from sandbox.wechat_people import People
from sandbox.wechat_push import Identity, Pusher
from sandbox.wechat_templates import DEMO_TEMPLATES
from sandbox.wechat_tokens import Tokens

# The same mini-program that the merchant of the WeChat Pay sandbox is bound to.
DEMO_APPID = "wxd678efh567hg6787"

BodyHandler = Callable[[web.Request, Doc], Awaitable[web.Response]]


class WeChat(Partner):
    """See docs/sandbox.md for the control verbs."""

    name, title, port_offset = "wechat", "微信", 1
    fault_effects = ("invalidate_token", "without", "push", "sent")
    keep_on_reset = ("person", "_openid")
    default_config = {
        "with_unionid": False,  # only mini-programs bound to an Open Platform account get one
        "country_code_number": False,  # the documentation says text, its sample shows a number
        "watermark_appid": None,  # another appid: the product must refuse the phone number
        "answer_msgid": False,
        "push_mode": "secure",
        "push_format": "json",
        "push_copies": 1,
        "create_time_text": False,
        "sent_event_after_s": 1.0,
        "pages": None,  # list of released pages; null = every page exists
    }

    def setup(self) -> None:
        """Make the mini-program's identity once and open every path."""
        self.appid = self.keys.text("appid", lambda: DEMO_APPID)
        self.secret = self.keys.text("secret", lambda: secrets.token_hex(16))
        self.identity = Identity(
            appid=self.appid,
            original_id=self.keys.text("original_id", lambda: "gh_" + secrets.token_hex(6)),
            token=self.keys.secret("push_token", 24),
            # 43 characters are 32 bytes and two spare bits, which must be zero: the last character is one of 16.
            aes_key=self.keys.text("push_aes_key", _new_aes_key),
        )
        self.tokens = Tokens(self, appid=self.appid, secret=self.secret)
        self.people = People(self)
        self.pusher = Pusher(self, self.identity)
        self.subscriptions = Subscriptions(self, self.people, self.pusher)
        self._open_paths()
        WeChatControl(self, self.tokens, self.people, self.pusher, self.subscriptions)

    def _open_paths(self) -> None:
        get, post = self._get, self._post
        self.route("GET", "/cgi-bin/token", get(self.plain_token, with_token=False), call="token")
        self.route("POST", "/cgi-bin/stable_token", post(self.stable_token, with_token=False), call="stable_token")
        self.route("GET", "/sns/jscode2session", get(self.log_in, with_token=False), call="jscode2session")
        self.route("GET", "/wxa/checksession", get(self.check_session), call="checksession")
        self.route("POST", "/wxa/business/getuserphonenumber", post(self.phone), call="getuserphonenumber")
        self.route("POST", "/cgi-bin/message/subscribe/send", post(self.subscriptions.send), call="send")

    def seed(self) -> None:
        """Demo people and templates."""
        self.people.seed()
        for template in DEMO_TEMPLATES:
            if self.store.get("template", str(template["template_id"])) is None:
                self.subscriptions.put_template(template)

    def environment(self) -> dict[str, str]:
        """What the console of the mini-program shows to its owner."""
        return {
            "WECHAT_BASE_URL": self.url,
            "WECHAT_APPID": self.appid,
            "WECHAT_SECRET": self.secret,
            "WECHAT_PUSH_TOKEN": self.identity.token,
            "WECHAT_PUSH_AES_KEY": self.identity.aes_key,
        }

    def error_answer(self, request: web.Request, status: int, code: str | int | None) -> web.Response:
        """Business errors travel with HTTP 200; a wrong method too; an unknown path is a bare 404."""
        if status == 405:
            return self.answer(body_of(43302 if request.method == "GET" else 43301))
        if code is None:
            return web.Response(status=status, text="" if status == 404 else f"{status}")
        return self.answer(body_of(int(code)), status=status)

    # -- calls -----------------------------------------------------------------------------------------------------

    async def plain_token(self, request: web.Request, query: Doc) -> web.Response:
        """`GET /cgi-bin/token`."""
        self.tokens.check_credentials(
            query.get("grant_type"), query.get("appid"), query.get("secret"), grant="client_credential"
        )
        await self.fault(request)
        return self.answer(self.tokens.plain())

    async def stable_token(self, request: web.Request, body: Doc) -> web.Response:
        """`POST /cgi-bin/stable_token`."""
        self.tokens.check_credentials(
            body.get("grant_type"), body.get("appid"), body.get("secret"), grant="client_credential"
        )
        await self.fault(request)
        return self.answer(self.tokens.stable(force=body.get("force_refresh") is True))

    async def log_in(self, request: web.Request, query: Doc) -> web.Response:
        """`GET /sns/jscode2session`; a superfluous access_token is tolerated. No errcode on success."""
        self.tokens.check_credentials(
            query.get("grant_type"), query.get("appid"), query.get("secret"), grant="authorization_code"
        )
        code = self.people.read_code(query.get("js_code"), "login")
        self.note(request, number=code["person"])
        effect = await self.fault(request, number=code["person"])
        if code.get("appid") not in (None, self.appid):
            raise WeChatError(40029)
        person = self.people.log_in(self.people.use_code(self.people.read_code(code["code"], "login")))
        answer = {"session_key": person["session_key"], "openid": person["openid"]}
        if self.config["with_unionid"]:
            answer["unionid"] = person["unionid"]
        answer.pop(str(effect.get("without")), None)
        return self.answer(answer)

    async def check_session(self, request: web.Request, query: Doc) -> web.Response:
        """`GET /wxa/checksession`: HMAC of nothing under the text of the session key."""
        person = self.people.by_openid(query.get("openid"))
        await self.fault(request, number=person["key"])
        key = person["session_key"]
        right = hmac.new(str(key).encode(), b"", hashlib.sha256).hexdigest() if key else ""
        given = str(query.get("signature") or "")
        if (
            query.get("sig_method") != "hmac_sha256"
            or not right
            or not hmac.compare_digest(given.encode(), right.encode())
        ):
            raise WeChatError(87009)
        return self.answer(body_of(0))

    async def phone(self, request: web.Request, body: Doc) -> web.Response:
        """`POST /wxa/business/getuserphonenumber`."""
        code = self.people.read_code(body.get("code"), "phone")
        owner = self.people.find(code["person"])
        if body.get("openid") not in (None, owner["openid"]):
            raise WeChatError(40029)
        self.note(request, number=owner["key"])
        effect = await self.fault(request, number=owner["key"])
        self.people.use_code(self.people.read_code(code["code"], "phone"))
        country, number = str(code["country_code"]), str(code["phone"])
        info = {
            "phoneNumber": number if country == "86" else f"+{country}{number}",
            "purePhoneNumber": number,
            "countryCode": int(country) if self.config["country_code_number"] else country,
            "watermark": {"timestamp": int(self.now_s()), "appid": self.config["watermark_appid"] or self.appid},
        }
        info.pop(str(effect.get("without")), None)
        return self.answer({**body_of(0), "phone_info": info})

    # -- what every call has in common -------------------------------------------------------------------------------

    def _get(self, handler: BodyHandler, *, with_token: bool = True) -> Handler:
        async def called(request: web.Request) -> web.StreamResponse:
            return await self._worded(handler, request, dict(request.query), with_token=with_token)

        return called

    def _post(self, handler: BodyHandler, *, with_token: bool = True) -> Handler:
        async def called(request: web.Request) -> web.StreamResponse:
            raw = await request.read()
            body: Any = None
            try:
                body = json.loads(raw) if raw.strip() else None
            except ValueError:
                return self.answer(body_of(47001))
            if body is None:
                return self.answer(body_of(44002))
            if not isinstance(body, dict):
                return self.answer(body_of(47001))
            return await self._worded(handler, request, body, with_token=with_token)

        return called

    async def _worded(
        self, handler: BodyHandler, request: web.Request, body: Doc, *, with_token: bool
    ) -> web.StreamResponse:
        try:
            if with_token:
                self._maybe_lose_tokens(request)
                self.tokens.check(request.query.get("access_token"))
            answer = await handler(request, body)
            self.note(request, verdict="ok")
            return answer
        except WeChatError as error:
            self.note(request, verdict=error.code)
            return self.answer(body_of(error.code, error.detail))

    def _maybe_lose_tokens(self, request: web.Request) -> None:
        """Fault `invalidate_token`: the token dies silently between two calls; the product must refetch and repeat once."""
        for fault in self.faults.all():
            if fault["effect"].get("invalidate_token"):
                self.faults.delete(fault["id"])
                self.tokens.invalidate()
                self.note(request, fault=fault["effect"])


def _new_aes_key() -> str:
    body = "".join(secrets.choice(ALPHANUMERIC) for _ in range(42))
    return body + secrets.choice("AEIMQUYcgkosw048")


def build(run: Run) -> WeChat:
    """The WeChat partner of a run."""
    return WeChat(run)
