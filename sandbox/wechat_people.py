"""The people who use WeChat in the sandbox: openid, session key, login codes and phone codes."""

import base64
import secrets
from typing import Any

from sandbox.control import ControlError
from sandbox.partner import Partner
from sandbox.people import DEMO_PEOPLE
from sandbox.store import Doc
from sandbox.wechat_errors import WeChatError

CODE_LIFE_S = 300
LOGINS_PER_MINUTE = 100


class People:
    """Named test users. A person is addressed by key, name or openid."""

    def __init__(self, partner: Partner) -> None:
        self.partner = partner
        self.store = partner.store

    def seed(self) -> None:
        """The demo people always exist; what happened to them is kept."""
        for demo in DEMO_PEOPLE:
            if demo.wechat and self.store.get("person", demo.key) is None:
                self.put({"key": demo.key, "name": demo.name, "phone": demo.phone, "role": demo.role})

    def put(self, wish: Doc) -> Doc:
        """Add a person or change one: `{key, name, phone, country_code, unionid, high_risk}`."""
        key = wish.get("key")
        if not isinstance(key, str) or not key or "/" in key:
            raise ControlError(400, "key 必填，且不能含斜杠")
        person = self.store.get("person", key) or {
            "key": key,
            "name": key,
            "openid": "o" + secrets.token_urlsafe(21)[:27],
            "unionid": "o" + secrets.token_urlsafe(21)[:27],
            "phone": None,
            "country_code": "86",
            "high_risk": False,
            "session_key": None,
            "role": "",
        }
        # The index makes a person with thousands of neighbours as quick to find as the only one.
        self.store.put("_openid", person["openid"], {"key": key})
        changes = {
            name: value for name, value in wish.items() if name in person and name not in ("session_key", "openid")
        }
        self.store.put("person", key, {**person, **changes})
        return {**person, **changes}

    def find(self, who: str) -> Doc:
        """By key, name or openid; ControlError 404."""
        indexed = self.store.get("_openid", who)
        found = self.store.get("person", indexed["key"] if indexed else who)
        found = found or next((one for one in self.store.all("person") if one["name"] == who), None)
        if found is not None:
            return found
        raise ControlError(404, f"沙箱里没有这个人：{who}")

    def by_openid(self, openid: object) -> Doc:
        """For the wire: WeChatError 40003."""
        indexed = self.store.get("_openid", openid) if isinstance(openid, str) else None
        person = self.store.get("person", indexed["key"]) if indexed else None
        if person is None:
            raise WeChatError(40003)
        return person

    # -- codes -----------------------------------------------------------------------------------------------------

    def issue_code(self, person: Doc, kind: str, **more: Any) -> Doc:
        """A login or phone code: single use, five minutes."""
        code = secrets.token_urlsafe(24)
        now = self.partner.now_s()
        issued = {"code": code, "kind": kind, "person": person["key"], "issued_at": now, "used": False, **more}
        issued["expires_at"] = now + self.partner.scaled(CODE_LIFE_S)
        self.store.put("code", code, issued, "issued")
        return issued

    def read_code(self, code: object, kind: str) -> Doc:
        """An unused, living code of that kind: else 41008, 40029 or 40163."""
        if not code or not isinstance(code, str):
            raise WeChatError(41008)
        found = self.store.get("code", code)
        if found is None or found["kind"] != kind:
            raise WeChatError(40029)
        if found["used"]:
            raise WeChatError(40163 if kind == "login" else 40029)
        if self.partner.now_s() >= found["expires_at"]:
            raise WeChatError(40029)
        return found

    def use_code(self, code: Doc) -> Doc:
        """Burn the code; its person."""
        self.store.put("code", code["code"], {**code, "used": True}, "used")
        person = self.store.get("person", code["person"])
        if person is None:
            raise WeChatError(40029)
        return person

    def log_in(self, person: Doc) -> Doc:
        """A new session key replaces the one before; 40226 for a high-risk person, 45011 beyond 100 per minute."""
        if person["high_risk"]:
            raise WeChatError(40226)
        now = self.partner.now_s()
        recent = self.store.get("_logins", person["key"]) or {"times": []}
        times = [at for at in recent["times"] if now - at < self.partner.scaled(60)]
        if len(times) >= LOGINS_PER_MINUTE:
            raise WeChatError(45011)
        self.store.put("_logins", person["key"], {"times": [*times, now]})
        session_key = base64.b64encode(secrets.token_bytes(16)).decode()
        self.store.put("person", person["key"], {**person, "session_key": session_key}, "logged in")
        return {**person, "session_key": session_key}
