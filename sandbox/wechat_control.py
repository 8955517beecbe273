"""The `/_control` verbs of WeChat: what people do on their phones, and what WeChat pushes on demand."""

import asyncio
from typing import Any

from aiohttp import web

from sandbox.control import ControlError
from sandbox.partner import Partner
from sandbox.store import Doc
from sandbox.wechat_messages import Subscriptions
from sandbox.wechat_people import People
from sandbox.wechat_push import Pusher
from sandbox.wechat_tokens import Tokens


class WeChatControl:
    """Registers itself on the partner; see docs/sandbox.md."""

    def __init__(
        self, partner: Partner, tokens: Tokens, people: People, pusher: Pusher, subscriptions: Subscriptions
    ) -> None:
        self.partner = partner
        self.tokens = tokens
        self.people = people
        self.pusher = pusher
        self.subscriptions = subscriptions
        control = partner.control
        control("GET", "/persons", self.list_persons)
        control("POST", "/persons", self.put_person)
        control("GET", "/persons/{who}", self.show_person)
        control("POST", "/persons/{who}/login_code", self.login_code)
        control("POST", "/persons/{who}/phone_code", self.phone_code)
        control("POST", "/persons/{who}/subscriptions", self.tap)
        control("POST", "/persons/{who}/turn_off", self.turn_off)
        control("GET", "/persons/{who}/messages", self.messages_of)
        control("GET", "/messages", self.messages)
        control("GET", "/templates", self.list_templates)
        control("POST", "/templates", self.put_template)
        control("POST", "/tokens/invalidate", self.invalidate)
        control("POST", "/push", self.push)
        control("POST", "/check_address", self.check_address)

    async def list_persons(self, _: web.Request) -> Doc:
        persons = self.partner.store.all("person")
        counts: dict[str, int] = {}
        for message in self.partner.store.all("message"):
            counts[message["person"]] = counts.get(message["person"], 0) + 1
        return {"persons": [{**_public(one), "messages": counts.get(one["key"], 0)} for one in persons]}

    async def put_person(self, request: web.Request) -> Doc:
        return _public(self.people.put(await self.partner.json(request)))

    async def show_person(self, request: web.Request) -> Doc:
        person = self._person(request)
        return {**_public(person), "subscriptions": self.subscriptions.quotas(person)}

    async def login_code(self, request: web.Request) -> Doc:
        wish = await self.partner.json(request)
        issued = self.people.issue_code(self._person(request), "login", appid=wish.get("appid"))
        return {"code": issued["code"], "expires_at": issued["expires_at"]}

    async def phone_code(self, request: web.Request) -> Doc:
        wish, person = await self.partner.json(request), self._person(request)
        phone = wish.get("phone") or person["phone"]
        if not phone:
            raise ControlError(409, f"{person['name']} 没有手机号")
        country = str(wish.get("country_code") or person["country_code"])
        issued = self.people.issue_code(person, "phone", phone=str(phone), country_code=country)
        return {"code": issued["code"], "expires_at": issued["expires_at"]}

    async def tap(self, request: web.Request) -> Doc:
        wish = await self.partner.json(request)
        return self.subscriptions.tap(self._person(request), wish)

    async def turn_off(self, request: web.Request) -> Doc:
        wish = await self.partner.json(request)
        return self.subscriptions.turn_off(self._person(request), wish)

    async def messages_of(self, request: web.Request) -> Doc:
        return {"messages": self.subscriptions.messages(self._person(request)["openid"])}

    async def messages(self, _: web.Request) -> Doc:
        return {"messages": self.subscriptions.messages()}

    async def list_templates(self, _: web.Request) -> Doc:
        return {"templates": self.partner.store.all("template")}

    async def put_template(self, request: web.Request) -> Doc:
        return self.subscriptions.put_template(await self.partner.json(request))

    async def invalidate(self, _: web.Request) -> Doc:
        return {"invalidated": self.tokens.invalidate()}

    async def push(self, request: web.Request) -> Doc:
        """Build and send pushes now: several events go out in the given order, `reversed` turns it round."""
        wish = await self.partner.json(request)
        events = wish.get("events") or [{name: wish[name] for name in ("event", "list", "fields") if name in wish}]
        person = self.people.find(str(wish.get("person") or "zhangguilan"))
        messages = [self._message(person, event) for event in events]
        if wish.get("reversed"):
            messages.reverse()
        how = {name: wish[name] for name in ("mode", "format", "tamper", "skew_s", "url") if name in wish}
        requests = [
            self.pusher.request(message, **how) for message in messages for _ in range(int(wish.get("copies", 1)))
        ]
        if wish.get("deliver") is False:
            return {"requests": requests, "answers": []}
        answers = []
        for one in requests:
            await asyncio.sleep(float(wish.get("delay_ms", 0)) / 1000)
            sent = await self.partner.post(one["url"], headers=one["headers"], body=one["body"].encode(), timeout_s=5)
            answers.append(sent.view())
        return {"requests": requests, "answers": answers}

    async def check_address(self, request: web.Request) -> Doc:
        wish = await self.partner.json(request)
        return await self.pusher.check_address(wrong_signature=bool(wish.get("wrong_signature")), url=wish.get("url"))

    def _message(self, person: Doc, event: Any) -> Doc:
        if not isinstance(event, dict) or not event.get("event"):
            raise ControlError(400, "event 必填")
        return self.pusher.event(
            person["openid"], str(event["event"]), event.get("list"), **(event.get("fields") or {})
        )

    def _person(self, request: web.Request) -> Doc:
        return self.people.find(request.match_info["who"])


def _public(person: Doc) -> Doc:
    return {name: value for name, value in person.items() if name != "session_key"}
