"""The one-window platform (一窗受理) of the sandbox: YCSL-REF v1 over HTTP, and the controls of its window clerk.

Business rules live in `one_window_desk`, events in `one_window_events`, the clerk in `one_window_clerk`.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web

from sandbox.control import ControlError
from sandbox.one_window_catalogue import ItemError, checked_item
from sandbox.one_window_clerk import KIND as CLERK_KIND
from sandbox.one_window_clerk import SCRIPT_LADDER, SCRIPTS, Clerk, script_steps
from sandbox.one_window_desk import MAX_FILE_BYTES, Desk, needed_text, rejected
from sandbox.one_window_events import EVENT_CONFIG, LADDER, PUSH_PATH, Events
from sandbox.one_window_events import KIND as EVENT_KIND
from sandbox.one_window_multipart import read_form
from sandbox.one_window_states import DRAFT
from sandbox.one_window_wire import (
    BAD_SIGNATURE,
    MESSAGES,
    NO_PERMISSION,
    NONCE_MEMORY_MS,
    OK,
    TEMPORARY,
    Credentials,
    Refusal,
    Signed,
    camel_keys,
    check_profile,
    digest_of,
    lower_keys,
    verify,
)
from sandbox.partner import Partner, Run
from sandbox.store import Doc

Work = Callable[[Doc, str], Doc]
BASE_PATH = "/sysapi/ycsl/v1"
CHANNEL_RID = "zhangshangban"
PLATFORM_RID = "yumen-ycsl"
NONCE_KIND = "_nonce"


class OneWindow(Partner):
    """The platform as the product meets it."""

    name, title, port_offset = "one_window", "一窗受理平台", 4
    default_config = {
        "profile": "ref",
        # A JSON file of items, read at start and when asked; default <run folder>/one_window_tasks.json.
        "tasks_file": None,
        "auto_clerk": None,  # name of a script that starts by itself with every new case
        "clerk_delay_s": 1.0,
        "denied_verbs": [],  # verbs this caller has no permission for (302)
        **EVENT_CONFIG,
    }
    fault_effects = ("reply", "html200", "lose_attachments")
    keep_on_reset = ("item",)

    def setup(self) -> None:
        check_profile(str(self.config["profile"]))
        self.channel = Credentials(rid=CHANNEL_RID, secret=self.keys.secret("channel.secret", 40))
        self.platform = Credentials(rid=PLATFORM_RID, secret=self.keys.secret("platform.secret", 40))
        self.desk = Desk(self.store, self.run.folder / "one_window_files", self.now)
        self.events = Events(
            self.store,
            config=lambda: self.config,
            later=lambda payload, wait: self.callbacks.later(EVENT_KIND, payload, after_s=wait, scaled=False),
            post=lambda headers, body: self.post(self.notify_url(PUSH_PATH), headers=headers, body=body),
            who=self.platform,
            now_ms=self.now_ms,
        )
        self.clerk = Clerk(
            self.desk,
            self.events,
            later=lambda payload, wait: self.callbacks.later(CLERK_KIND, payload, after_s=wait),
            config=lambda: self.config,
        )
        self.callbacks.on(EVENT_KIND, self.events.push, ladder=LADDER)
        self.callbacks.on(CLERK_KIND, self.clerk.run_step, ladder=SCRIPT_LADDER)
        self._routes()
        self._controls()

    def _routes(self) -> None:
        verbs: dict[str, Work] = {
            "serial.new": lambda data, _: self.desk.serial(data),
            "task.get": lambda data, _: self.desk.task(data),
            "case.push": self._push,
            "case.supplement": self.desk.supplement,
            "case.withdraw": self.desk.withdraw,
            "event.pull": lambda data, _: self.events.pull(data),
            "event.ack": lambda data, _: self.events.ack(data),
            "delivery.push": self.desk.delivery,
        }
        for verb, work in verbs.items():
            self.route("POST", f"{BASE_PATH}/{verb}", self._json_verb(verb, work), call=verb)
        self.route("POST", f"{BASE_PATH}/attach.put", self.attach_put, call="attach.put")
        self.route("POST", f"{BASE_PATH}/attach.get", self.attach_get, call="attach.get")
        self.route("POST", f"{BASE_PATH}/{{verb}}", self.unknown_verb, call="unknown")

    def _controls(self) -> None:
        self.control("GET", "/cases", self.show_cases)
        self.control("GET", "/cases/{number}", self.show_case)
        self.control("POST", "/cases/{number}/script", self.case_script)
        self.control("POST", "/cases/{number}/lose_attachments", self.lose)
        self.control("POST", "/cases/{number}/{action}", self.act)
        self.control("GET", "/tasks", self.show_tasks)
        self.control("POST", "/tasks", self.teach_tasks)
        self.control("GET", "/events", self.show_events)
        self.control("POST", "/events/flush", self.flush_events)
        self.control("POST", "/events/send", self.send_events)
        self.control("POST", "/script", self.auto_script)

    def seed(self) -> None:
        self._tasks_read_ns = 0
        self._read_tasks()

    def _read_tasks(self) -> None:
        """Learn the tasks file again whenever somebody wrote it, also while running."""
        path = Path(self.config["tasks_file"] or self.run.folder / "one_window_tasks.json")
        written_ns = path.stat().st_mtime_ns if path.exists() else 0
        if written_ns and written_ns != self._tasks_read_ns:
            self._tasks_read_ns = written_ns
            self._teach(json.loads(path.read_text(encoding="utf-8")))

    def environment(self) -> dict[str, str]:
        return {
            "ONEWINDOW_BASE_URL": self.url,
            "ONEWINDOW_RID": self.channel.rid,
            "ONEWINDOW_SECRET_FILE": str(self.keys.path("channel.secret")),
            "ONEWINDOW_PLATFORM_RID": self.platform.rid,
            "ONEWINDOW_PLATFORM_SECRET_FILE": str(self.keys.path("platform.secret")),
            "ONEWINDOW_PROFILE": str(self.config["profile"]),
        }

    def error_answer(self, request: web.Request, status: int, code: str | int | None) -> web.Response:
        if status >= 400 and code is None:
            return web.Response(status=status, text="")
        data = {"retryAfter": 1} if str(code) == "429" else {}
        return self.reply(int(code or TEMPORARY), None, data, status=status)

    # -- the wire ----------------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """This platform's own clock in epoch milliseconds."""
        return int(self.now_s() * 1000)

    def reply(self, code: int, message: str | None, data: Doc, *, status: int = 200) -> web.Response:
        """The envelope `{code, message, data, requestId}`."""
        if self.config["profile"] == "gjzwfwpt":
            data = lower_keys(data)
        text = message or MESSAGES.get(code, "")
        return self.answer({"code": code, "message": text, "data": data, "requestId": uuid4().hex}, status=status)

    async def _verified(self, request: web.Request, verb: str) -> tuple[Signed, bytes]:
        self._read_tasks()
        body = await request.read()
        signed = verify(
            profile=self.config["profile"],
            who=self.channel,
            verb=verb,
            headers=request.headers,
            body=body,
            now_ms=self.now_ms(),
        )
        self.note(request, nonce=signed.nonce)
        if not self.store.add(NONCE_KIND, f"{signed.rid}:{signed.nonce}", {"at": time.time()}):
            raise Refusal(BAD_SIGNATURE, "随机串重复", reason="nonce")
        self._forget_nonces()
        if verb in self.config["denied_verbs"]:
            raise Refusal(NO_PERMISSION)
        return signed, body

    def _forget_nonces(self) -> None:
        if self.store.next_number("nonce") % 128 == 0:
            for key, doc in self.store.items(NONCE_KIND):
                if time.time() - doc["at"] > NONCE_MEMORY_MS / 1000:
                    self.store.delete(NONCE_KIND, key)

    def _json_verb(self, verb: str, work: Work) -> Any:
        async def handler(request: web.Request) -> web.StreamResponse:
            try:
                signed, body = await self._verified(request, verb)
                data = self._object(body)
                number = str(data.get("projectNo") or (data.get("base") or {}).get("projectNo") or "") or None
                effect = await self._effect(request, verb, number)
                if effect is not None:
                    return effect
                # All or nothing: a refusal half-way leaves no trace of this verb.
                with self.store.transaction():
                    answer = work(data, signed.digest)
            except Refusal as refused:
                self.note(request, verdict=refused.code)
                return self.reply(refused.code, refused.message, refused.data)
            self.note(request, verdict=OK, number=number)
            return self.reply(OK, None, answer)

        return handler

    async def _effect(self, request: web.Request, verb: str, number: str | None) -> web.Response | None:
        effect = await self.fault(request, verb, number)
        if effect.get("lose_attachments") and number:
            self.desk.lose_attachments(number)
        if effect.get("html200"):
            return web.Response(text="<html><body>系统维护中</body></html>", content_type="text/html")
        if reply := effect.get("reply"):
            return self.reply(int(reply.get("code", TEMPORARY)), reply.get("message"), reply.get("data") or {})
        return None

    def _object(self, body: bytes) -> Doc:
        try:
            data = json.loads(body)
        except ValueError as error:
            raise rejected("body", "不是 JSON") from error
        if not isinstance(data, dict):
            raise rejected("body", "应为 JSON 对象")
        return camel_keys(data) if self.config["profile"] == "gjzwfwpt" else data

    def _push(self, data: Doc, digest: str) -> Doc:
        answer = self.desk.push(data, digest)
        if not answer.get("duplicate"):
            case = self.desk.case(answer)
            self.clerk.begin(case)
        return answer

    async def attach_put(self, request: web.Request) -> web.StreamResponse:
        """Verb `attach.put`: the digest covers the whole multipart body, the field sha256 the file alone."""
        try:
            _, body = await self._verified(request, "attach.put")
            if len(body) > MAX_FILE_BYTES + 64 * 1024:
                return web.Response(status=413)
            parts = {part.name: part for part in read_form(request.headers.get("content-type", ""), body)}
            fields = {name: part.content.decode("utf-8", "replace") for name, part in parts.items() if name != "file"}
            if self.config["profile"] == "gjzwfwpt":
                fields = camel_keys(fields)
            number = fields.get("projectNo")
            effect = await self._effect(request, "attach.put", number)
            if effect is not None:
                return effect
            if "file" not in parts or not parts["file"].filename:
                raise rejected("file", "必填")
            answer = self.desk.put_attachment(fields, parts["file"].content)
        except Refusal as refused:
            self.note(request, verdict=refused.code)
            return self.reply(refused.code, refused.message, refused.data)
        self.note(request, verdict=OK, number=number)
        return self.reply(OK, None, answer)

    async def attach_get(self, request: web.Request) -> web.StreamResponse:
        """Verb `attach.get`: the file's bytes with their digest in the header."""
        try:
            _, body = await self._verified(request, "attach.get")
            found, content = self.desk.attachment(needed_text(self._object(body), "attachId"))
            effect = await self._effect(request, "attach.get", found["projectNo"])
        except Refusal as refused:
            self.note(request, verdict=refused.code)
            return self.reply(refused.code, refused.message, refused.data)
        self.note(request, verdict=OK, number=found["projectNo"])
        headers = {"x-ycsl-digest": digest_of(content)}
        return effect or web.Response(body=content, content_type=found["mime"], headers=headers)

    async def unknown_verb(self, request: web.Request) -> web.StreamResponse:
        """A verb this platform does not offer: no permission, said in the envelope."""
        return self.reply(NO_PERMISSION, "没有此接口", {"verb": request.match_info["verb"]})

    # -- the clerk's table -------------------------------------------------------------------------------------

    async def show_cases(self, _: web.Request) -> Doc:
        names = ("projectNo", "clientRef", "taskCode", "state", "dataVersion", "accepted", "archived", "seq")
        # A number without a push is not a case yet.
        cases = [case for case in self.store.all("case") if case["state"] != DRAFT]
        return {"cases": [{name: case[name] for name in names} for case in cases]}

    async def show_case(self, request: web.Request) -> Doc:
        number = request.match_info["number"]
        case = self.store.get("case", number)
        if case is None:
            raise ControlError(404, "没有这个办件")
        events = [doc for doc in self.store.all("event") if doc["event"]["projectNo"] == number]
        return {**case, "events": events}

    async def act(self, request: web.Request) -> Doc:
        wish = await self.json(request)
        return self.clerk.act(request.match_info["number"], request.match_info["action"], wish)

    async def case_script(self, request: web.Request) -> Doc:
        """Run a script on one case: `{name}` or `{steps: [...]}`."""
        wish = await self.json(request)
        case = self.store.get("case", request.match_info["number"])
        if case is None:
            raise ControlError(404, "没有这个办件")
        steps = script_steps(wish.get("steps") or wish.get("name") or "smooth")
        self.clerk.start_script(case, steps)
        return {"steps": steps}

    async def auto_script(self, request: web.Request) -> Doc:
        """Switch the clerk who works alone on or off for every new case: `{name: "correction"|null, delay_s}`."""
        wish = await self.json(request)
        name = wish.get("name")
        if name is not None:
            script_steps(name)
        self.config["auto_clerk"] = name
        self.config["clerk_delay_s"] = float(wish["delay_s"] if "delay_s" in wish else self.config["clerk_delay_s"])
        self.store.put("_config", "config", self.config)
        return {"auto_clerk": name, "clerk_delay_s": self.config["clerk_delay_s"], "scripts": sorted(SCRIPTS)}

    async def lose(self, request: web.Request) -> Doc:
        return {"lost": self.desk.lose_attachments(request.match_info["number"])}

    async def show_tasks(self, _: web.Request) -> Doc:
        return {"items": self.desk.items()}

    async def teach_tasks(self, request: web.Request) -> Doc:
        """Learn one item, a list under `items`, or the configured file again when the body is empty."""
        wish = await self.json(request)
        if not wish:
            self.seed()
            return {"items": len(self.desk.items())}
        return {"taught": self._teach(wish)}

    def _teach(self, wish: Any) -> int:
        found = wish.get("items", [wish]) if isinstance(wish, dict) else wish
        try:
            items = [checked_item(raw) for raw in found]
        except (ItemError, AttributeError, TypeError) as error:
            raise ControlError(400, str(error)) from error
        for item in items:
            self.desk.teach(item)
        return len(items)

    async def show_events(self, _: web.Request) -> Doc:
        return {"events": self.store.all("event")}

    async def flush_events(self, request: web.Request) -> Doc:
        return self.events.flush(await self.json(request))

    async def send_events(self, request: web.Request) -> Doc:
        """Push exactly the events of the body now, well signed, true or not (for tests of the product)."""
        wish = await self.json(request)
        return (await self.events.send(list(wish.get("events", [])))).view()


def build(run: Run) -> OneWindow:
    """The partner for `sandbox.__main__` and `sandbox.serving`."""
    return OneWindow(run)
