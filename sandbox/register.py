"""The population register (人口库): one signed question, "does this name belong to this number?". Wire: docs/sandbox.md."""

import hashlib
import hmac
import json
import re
import secrets
from datetime import date
from typing import Any

from aiohttp import web

from sandbox.control import ControlError
from sandbox.partner import Partner, Run
from sandbox.people import DEMO_PEOPLE, check_is_right
from sandbox.store import Doc

SKEW_S = 300
ADULT_AT = 18
PLACEHOLDER = "〓"  # how the register writes a character that it cannot encode
STATES = ("alive", "deceased")
RESULTS = ("match", "name_mismatch", "unknown", "deceased", "minor", "placeholder")
_NONCE = re.compile(r"[0-9A-Za-z]{16,64}")
_REQUEST_NO = re.compile(r"[0-9A-Za-z_-]{8,64}")
_DOTS = str.maketrans("•・．●", "····")


class RefusedError(Exception):
    """A question that is not answered: HTTP status, code and a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


class Register(Partner):
    """See docs/sandbox.md for the wire and the control verbs."""

    name, title, port_offset = "register", "人口库", 2
    fault_effects = ("signature", "result")
    default_config = {"queries_per_minute": 120}

    def setup(self) -> None:
        """One application is registered: ours."""
        self.app_id = self.keys.text("app_id", lambda: "ymzsb" + secrets.token_hex(4))
        self.secret = self.keys.secret("secret", 48)
        self.route("POST", "/v1/persons/verify", self.verify, call="verify")
        self.control("GET", "/persons", self.list_persons)
        self.control("POST", "/persons", self.put_person)
        self.control("DELETE", "/persons/{id_number}", self.delete_person)

    def seed(self) -> None:
        """The demo people; a person changed by hand stays changed."""
        numbers = {demo.key: demo.id_number for demo in DEMO_PEOPLE}
        for demo in DEMO_PEOPLE:
            guardian = numbers[demo.guardian] if demo.guardian else None
            self.store.add(
                "person",
                demo.id_number,
                {
                    "id_number": demo.id_number,
                    "name": demo.placeholder or demo.name,
                    "true_name": demo.name,
                    "state": demo.state,
                    "guardian": guardian,
                    "role": demo.role,
                },
            )

    def environment(self) -> dict[str, str]:
        """What the register's office handed to the county."""
        return {"REGISTER_BASE_URL": self.url, "REGISTER_APP_ID": self.app_id, "REGISTER_SECRET": self.secret}

    def error_answer(self, request: web.Request, status: int, code: str | int | None) -> web.Response:
        """Also refusals are signed."""
        known = {404: "NOT_FOUND", 405: "WRONG_METHOD", 429: "TOO_MANY_QUERIES", 503: "BUSY"}
        word = str(code or known.get(status, "SYSTEM_ERROR"))
        return self._signed(request, {"code": word, "message": "沙箱按要求返回的错误"}, status=status)

    # -- the wire --------------------------------------------------------------------------------------------------

    async def verify(self, request: web.Request) -> web.StreamResponse:
        """`POST /v1/persons/verify`."""
        raw = await request.read()
        try:
            self._authenticate(request, raw)
            question = _question(raw)
            self.note(request, number=question["request_no"])
            effect = await self.fault(request, "verify", question["id_number"])
            answer = self._answer_once(question, effect.get("result"))
        except RefusedError as refused:
            self.note(request, verdict=refused.code)
            headers = {"Retry-After": "60"} if refused.status == 429 else {}
            body = {"code": refused.code, "message": refused.message}
            return self._signed(request, body, status=refused.status, headers=headers)
        return self._signed(request, answer, proof=str(effect.get("signature", "good")))

    def _authenticate(self, request: web.Request, raw: bytes) -> None:
        headers = request.headers
        if headers.get("X-App-Id") != self.app_id:
            raise RefusedError(401, "UNKNOWN_APP", "应用编号不存在")
        timestamp, nonce = headers.get("X-Timestamp", ""), headers.get("X-Nonce", "")
        self.note(request, nonce=nonce)
        right = sign(self.secret, request.method, request.raw_path, timestamp, nonce, hashlib.sha256(raw).hexdigest())
        if not hmac.compare_digest(headers.get("X-Signature", "").encode(), right.encode()):
            raise RefusedError(401, "BAD_SIGNATURE", "签名不正确")
        if not timestamp.isascii() or not timestamp.isdigit() or abs(self.now_s() - int(timestamp)) > SKEW_S:
            raise RefusedError(401, "STALE", "时间戳与人口库相差超过 5 分钟")
        if not _NONCE.fullmatch(nonce):
            raise RefusedError(400, "BAD_NONCE", "随机串应为 16 至 64 位字母或数字")
        if not self.store.add("nonce", nonce, {"at": self.now_s()}):
            raise RefusedError(401, "REPLAYED", "随机串已经用过")
        self.note(request, verdict="ok")

    def _answer_once(self, question: Doc, forced: Any) -> Doc:
        """The same request number gives the same answer again and is not counted twice."""
        digest = hashlib.sha256(f"{question['name']}\n{question['id_number']}".encode()).hexdigest()
        with self.store.transaction():
            earlier = self.store.get("query", question["request_no"])
            if earlier is not None:
                if earlier["digest"] != digest:
                    raise RefusedError(409, "REQUEST_NO_REUSED", "同一请求号不能用于不同的查询")
                answer: Doc = earlier["answer"]
                return answer
            self._count()
            answer = {"code": "OK", "request_no": question["request_no"], **self._result(question, forced)}
            self.store.put("query", question["request_no"], {"digest": digest, "answer": answer}, "asked")
            return answer

    def _count(self) -> None:
        now = self.now_s()
        recent = self.store.get("rate", "verify") or {"times": []}
        times = [at for at in recent["times"] if now - at < self.scaled(60)]
        if len(times) >= int(self.config["queries_per_minute"]):
            raise RefusedError(429, "TOO_MANY_QUERIES", "查询过于频繁，请稍后再试")
        self.store.put("rate", "verify", {"times": [*times, now]})

    def _result(self, question: Doc, forced: Any) -> Doc:
        person = self.store.get("person", question["id_number"])
        if forced is not None:
            return {"result": str(forced)}
        if person is None:
            return {"result": "unknown"}
        kind = _compare(_normal(question["name"]), _normal(person["name"]))
        if kind != "match":
            return {"result": kind, "registered_name": person["name"]} if kind == "placeholder" else {"result": kind}
        if person["state"] == "deceased":
            return {"result": "deceased"}
        if _age(question["id_number"], self.now().date()) < ADULT_AT:
            guardian = self.store.get("person", person["guardian"] or "")
            shown = {"name": guardian["name"], "id_number": guardian["id_number"]} if guardian else None
            return {"result": "minor", "guardian": shown}
        return {"result": "match"}

    def _signed(
        self,
        request: web.Request,
        body: Doc,
        *,
        status: int = 200,
        proof: str = "good",
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        """Sign status, the question's nonce and the body: an old answer cannot be played to a new question."""
        raw = json.dumps(body, ensure_ascii=False).encode()
        timestamp = str(int(self.now_s()) - (86400 if proof == "stale" else 0))
        secret = self.secret if proof != "other_key" else self.secret[::-1]
        digest = hashlib.sha256(raw).hexdigest()
        signature = sign(secret, str(status), request.headers.get("X-Nonce", ""), timestamp, digest)
        proofs = {} if proof == "none" else {"X-Timestamp": timestamp, "X-Signature": signature}
        return web.Response(
            body=raw,
            status=status,
            content_type="application/json",
            charset="utf-8",
            headers={**(headers or {}), **proofs},
        )

    # -- control ---------------------------------------------------------------------------------------------------

    async def list_persons(self, _: web.Request) -> Doc:
        """Everybody in the register."""
        return {"persons": self.store.all("person")}

    async def put_person(self, request: web.Request) -> Doc:
        """Add or change a person: `{id_number, name, state, guardian}`."""
        wish = await self.json(request)
        number = wish.get("id_number")
        if not isinstance(number, str) or not check_is_right(number):
            raise ControlError(400, "id_number 的校验位不正确")
        person = {"id_number": number, "name": "", "state": "alive", "guardian": None, "role": ""}
        person |= self.store.get("person", number) or {}
        person |= {name: wish[name] for name in ("name", "state", "guardian", "role") if name in wish}
        if not person["name"] or person["state"] not in STATES:
            raise ControlError(400, "name 必填，state 只能是 alive 或 deceased")
        self.store.put("person", number, person, "changed")
        return person

    async def delete_person(self, request: web.Request) -> Doc:
        """The register then answers unknown."""
        if not self.store.delete("person", request.match_info["id_number"]):
            raise ControlError(404, "人口库里没有这个人")
        return {"ok": True}


def sign(secret: str, *lines: str) -> str:
    """Hex HMAC-SHA256 of the lines joined by a line feed, without one at the end."""
    return hmac.new(secret.encode(), "\n".join(lines).encode(), hashlib.sha256).hexdigest()


def _question(raw: bytes) -> Doc:
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise RefusedError(400, "BAD_REQUEST", "请求体不是 JSON") from error
    fields = ("request_no", "name", "id_number")
    if not isinstance(found, dict) or any(not isinstance(found.get(name), str) or not found[name] for name in fields):
        raise RefusedError(400, "BAD_REQUEST", "request_no、name、id_number 必填且为文本")
    if not _REQUEST_NO.fullmatch(found["request_no"]) or len(found["name"]) > 50:
        raise RefusedError(400, "BAD_REQUEST", "request_no 或 name 的格式不对")
    if not check_is_right(found["id_number"]):
        raise RefusedError(400, "BAD_ID_NUMBER", "身份号码的校验位不正确")
    return found


def _normal(name: str) -> str:
    return name.strip().translate(_DOTS)


def _compare(asked: str, registered: str) -> str:
    """A difference only where the register holds its placeholder is no mismatch: a clerk must look."""
    if asked == registered:
        return "match"
    fits = len(asked) == len(registered) and all(r in (a, PLACEHOLDER) for a, r in zip(asked, registered, strict=True))
    return "placeholder" if fits else "name_mismatch"


def _age(id_number: str, today: date) -> int:
    year, month, day = int(id_number[6:10]), int(id_number[10:12]), int(id_number[12:14])
    return today.year - year - ((today.month, today.day) < (month, day))


def build(run: Run) -> Register:
    """The population register of a run."""
    return Register(run)
