"""Subscribe messages at WeChat: templates, what people have accepted, the send call and each person's outbox."""

from typing import Any

from aiohttp import web

from sandbox.control import ControlError
from sandbox.partner import Partner
from sandbox.store import Doc
from sandbox.wechat_errors import WeChatError, body_of
from sandbox.wechat_people import People
from sandbox.wechat_push import Pusher
from sandbox.wechat_values import complaint, kind_of

AT_MOST = 5
STATES = ("developer", "trial", "formal")
LANGUAGES = ("zh_CN", "en_US", "zh_HK", "zh_TW")


class Subscriptions:
    """The ledger of taps and the messages that were sent on them."""

    def __init__(self, partner: Partner, people: People, pusher: Pusher) -> None:
        self.partner = partner
        self.store = partner.store
        self.people = people
        self.pusher = pusher

    # -- templates -------------------------------------------------------------------------------------------------

    def put_template(self, wish: Doc) -> Doc:
        """Add or replace a template `{template_id, title, long_term, keys: [...], enums: {key: [...]}}`."""
        template_id, keys = wish.get("template_id"), wish.get("keys")
        if not isinstance(template_id, str) or not template_id or not isinstance(keys, list) or not keys:
            raise ControlError(400, "template_id 与 keys 必填")
        wrong = [str(key) for key in keys if not isinstance(key, str) or kind_of(key) is None]
        if wrong:
            raise ControlError(400, f"字段名应为“类型+数字”：{'、'.join(wrong)}")
        template = {
            "template_id": template_id,
            "title": wish.get("title") or template_id,
            "long_term": bool(wish.get("long_term", False)),
            "keys": keys,
            "enums": wish.get("enums") or {},
        }
        self.store.put("template", template_id, template)
        return template

    def template(self, template_id: str) -> Doc:
        """The template, or ControlError 404."""
        found = self.store.get("template", template_id)
        if found is None:
            raise ControlError(404, f"没有这个模板：{template_id}")
        return found

    # -- what the person does on the phone -------------------------------------------------------------------------

    def tap(self, person: Doc, wish: Doc) -> Doc:
        """The person answers the popup of `wx.requestSubscribeMessage`; answers what the client would get.

        `choice` accept | reject | ban, or null = no popup, the remembered choice of an earlier `always` applies.
        """
        ids = wish.get("templates") or [found["template_id"] for found in self.store.all("template")][:3]
        if not isinstance(ids, list) or len(ids) > AT_MOST:
            raise ControlError(400, f"一次最多 {AT_MOST} 个模板")
        templates = [self.template(str(one)) for one in ids]
        if len({found["long_term"] for found in templates}) > 1:
            raise ControlError(400, "一次性订阅与长期订阅不能在同一次弹窗里（errCode 20002）")
        choice = wish.get("choice", "accept")
        choices = {found["template_id"]: self._choice(person, found, choice) for found in templates}
        with self.store.transaction():
            for template in templates:
                self._record(person, template, choices[template["template_id"]], always=bool(wish.get("always")))
            if wish.get("push", True):
                scene = str(wish.get("popup_scene", "0"))
                entries: list[Doc] = [
                    {"TemplateId": one, "SubscribeStatusString": said, "PopupScene": scene}
                    for one, said in choices.items()
                    if said in ("accept", "reject")
                ]
                self._push(person, "subscribe_msg_popup_event", entries)
        return {"errMsg": "requestSubscribeMessage:ok", **choices}

    def turn_off(self, person: Doc, wish: Doc) -> Doc:
        """The person switches templates off in the settings page: only this is pushed as a change event."""
        ids = wish.get("templates") or [found["template_id"] for found in self.store.all("template")]
        with self.store.transaction():
            for one in ids:
                self._record(person, self.template(one), "reject", always=True)
            entries: list[Doc] = [{"TemplateId": one, "SubscribeStatusString": "reject"} for one in ids]
            self._push(person, "subscribe_msg_change_event", entries)
        return {"turned_off": ids}

    def quotas(self, person: Doc) -> list[Doc]:
        """Per template: title, long_term, quota, switched off or remembered choice."""
        return [{**template, **self._quota(person, template["template_id"])} for template in self.store.all("template")]

    def messages(self, openid: str | None = None) -> list[Doc]:
        """Messages that people have received, newest first."""
        found = [one for one in self.store.all("message") if openid in (None, one["openid"])]
        for message in found:
            template = self.store.get("template", message["template_id"])
            message["title"] = template["title"] if template else message["template_id"]
        return found[::-1]

    # -- the wire --------------------------------------------------------------------------------------------------

    async def send(self, request: web.Request, body: Doc) -> web.Response:
        """`POST /cgi-bin/message/subscribe/send`: 0, 40003, 40037, 41030, 47003 or 43101."""
        self.partner.note(request, number=body.get("template_id"))
        person = self.people.by_openid(body.get("touser"))
        template = self.store.get("template", str(body.get("template_id") or ""))
        if template is None:
            raise WeChatError(40037)
        self._check_page(body.get("page"))
        self._check_values(template, body)
        effect = await self.partner.fault(request, "send", str(person["key"]))
        with self.store.transaction():
            self._consume(person, template)
            number = self.store.next_number("message", start=3_000_000_001)
            self._keep(number, person, template, body)
            before = effect.get("push") == "before_answer"
            sent = self._sent_event(person, template, number, effect.get("sent") or {})
            if not before:
                self.pusher.later(sent, after_s=float(self.partner.config["sent_event_after_s"]))
        if before:
            await self.pusher.now(sent)
        answer = body_of(0)
        return self.partner.answer(answer | {"msgid": number} if self.partner.config["answer_msgid"] else answer)

    def _check_page(self, page: object) -> None:
        released = self.partner.config["pages"]
        if page is None or page == "":
            return
        if not isinstance(page, str) or (released is not None and page.split("?")[0].lstrip("/") not in released):
            raise WeChatError(41030)

    def _check_values(self, template: Doc, body: Doc) -> None:
        data = body.get("data")
        if not isinstance(data, dict):
            raise WeChatError(47003, "data invalid")
        if body.get("miniprogram_state", "formal") not in STATES:
            raise WeChatError(47003, "miniprogram_state invalid")
        if body.get("lang", "zh_CN") not in LANGUAGES:
            raise WeChatError(47003, "lang invalid")
        for key in (*template["keys"], *(key for key in data if key not in template["keys"])):
            field = data.get(key)
            value = field.get("value") if isinstance(field, dict) else None
            unknown = key not in template["keys"]
            wrong = complaint(key, value, allowed=tuple(template["enums"].get(key, ())))
            if unknown or wrong:
                raise WeChatError(47003, wrong or f"data.{key}.value invalid")

    def _consume(self, person: Doc, template: Doc) -> None:
        quota = self._quota(person, template["template_id"])
        if template["long_term"]:
            if not quota["accepted"]:
                raise WeChatError(43101)
            return
        if quota["quota"] < 1:
            raise WeChatError(43101)
        self._put_quota(person, template["template_id"], {**quota, "quota": quota["quota"] - 1}, "consumed")

    def _keep(self, number: int, person: Doc, template: Doc, body: Doc) -> None:
        message = {
            "id": number,
            "at": self.partner.now().isoformat(timespec="seconds"),
            "person": person["key"],
            "openid": person["openid"],
            "template_id": template["template_id"],
            "page": body.get("page"),
            "data": {key: field["value"] for key, field in body["data"].items()},
            "miniprogram_state": body.get("miniprogram_state", "formal"),
            "lang": body.get("lang", "zh_CN"),
        }
        self.store.put("message", str(number), message, "sent")

    def _sent_event(self, person: Doc, template: Doc, number: int, outcome: Doc) -> Doc:
        entry = {
            "TemplateId": template["template_id"],
            "MsgID": str(number),
            "ErrorCode": str(outcome.get("code", "0")),
            "ErrorStatus": str(outcome.get("status", "success")),
        }
        return self.pusher.event(person["openid"], "subscribe_msg_sent_event", [entry])

    def _choice(self, person: Doc, template: Doc, wish: Any) -> str:
        if wish is None:
            remembered = self._quota(person, template["template_id"])["always"]
            if remembered is None:
                raise ControlError(409, f"{person['name']} 还没有对“{template['title']}”选过“总是保持以上选择”")
            return str(remembered)
        if wish not in ("accept", "reject", "ban"):
            raise ControlError(400, "choice 只能是 accept、reject、ban 或 null")
        return str(wish)

    def _record(self, person: Doc, template: Doc, said: str, *, always: bool) -> None:
        quota = self._quota(person, template["template_id"])
        quota["accepted"] = said == "accept"
        if always:
            quota["always"] = said
        if said == "accept" and not template["long_term"]:
            quota["quota"] += 1
        elif said == "reject" and always:
            quota["quota"] = 0
        self._put_quota(person, template["template_id"], quota, said)

    def _quota(self, person: Doc, template_id: str) -> Doc:
        found = self.store.get("quota", f"{person['key']} {template_id}")
        return found or {"quota": 0, "accepted": False, "always": None}

    def _put_quota(self, person: Doc, template_id: str, quota: Doc, event: str) -> None:
        self.store.put("quota", f"{person['key']} {template_id}", quota, event)

    def _push(self, person: Doc, event: str, entries: list[Doc]) -> None:
        if entries:
            self.pusher.later(self.pusher.event(person["openid"], event, entries))
