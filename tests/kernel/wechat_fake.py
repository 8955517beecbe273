"""A small WeChat that answers what a test told it to; the strict one is the sandbox."""

import asyncio
import json

from aiohttp import web

APPID, SECRET, OPENID = "wx0123456789abcdef", "s3cr3t-of-the-app", "oAbCdEfGhIjKlMnOpQrStUvWxYz0"


class FakeWeChat:
    """Answers what a test told it to; knows its own tokens and keeps every request."""

    def __init__(self) -> None:
        self.tokens = 0
        self.expires_in = 7200
        self.token_delay = 0.0
        self.calls: list[web.Request] = []
        self.bodies: list[dict] = []
        self.answers: list[object] = []
        self.token_answers: list[object] = []
        self.dead: set[str] = set()

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.calls]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.calls.append(request)
        raw = await request.read()
        self.bodies.append(json.loads(raw) if raw else {})
        if request.path == "/cgi-bin/stable_token":
            await asyncio.sleep(self.token_delay)
            if self.token_answers:
                return self.say(self.token_answers.pop(0))
            self.tokens += 1
            return self.say({"access_token": f"TOKEN{self.tokens}", "expires_in": self.expires_in})
        if request.path != "/sns/jscode2session" and request.query.get("access_token") in self.dead:
            return self.say({"errcode": 40001, "errmsg": "invalid credential rid: 65000000-1234abcd-0000ffff"})
        return self.say(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    def say(self, answer: object) -> web.Response:
        if isinstance(answer, web.Response):
            return answer
        return web.Response(text=json.dumps(answer), content_type="text/plain")  # WeChat does not always say JSON
