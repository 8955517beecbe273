"""Checked before anything is timed: the same answers from everyone, and the same refusals."""

import json
import random
from typing import Any

import aiohttp

from bench.data import County, case_no
from bench.notices import PATH, Till

SAMPLES = 20


class Broken(Exception):
    """A server that answers wrongly is not timed."""


async def check(name: str, base: str, county: County, scenarios: tuple[str, ...], truth: dict[str, Any]) -> int:
    """Raises Broken. The first server checked (ours) fills `truth`; later ones must agree. Answers how many it submitted."""
    async with aiohttp.ClientSession() as session:
        asker = _Asker(name, base, session)
        for number in random.Random(1).sample(range(county.stored), SAMPLES):
            who, no = county.owner(number), case_no(number)
            if "status" in scenarios:
                await asker.same(f"/api/v1/cases/{no}/status", who.token, truth)
                await asker.refused(f"/api/v1/cases/{no}/status", "x" * 43, 401)
                await asker.refused(f"/api/v1/cases/{no}/status", county.owner(number + 1).token, 404)
            if "list" in scenarios:
                await asker.same("/api/v1/cases", who.token, truth)
                await asker.refused("/api/v1/cases", "x" * 43, 401)
        if "guide" in scenarios:
            await asker.same("/api/v1/items/YM-YDZ-BB", None, truth)
        return await _submissions(asker, county) if "submit" in scenarios else 0


async def _submissions(asker: "_Asker", county: County) -> int:
    drafts = county.take(3)
    for number in drafts:
        body, key, path = county.submission(number), f"contract-{number}", f"/api/v1/cases/{case_no(number)}/submission"
        token = county.owner(number).token
        await asker.refused(path, county.owner(number + 1).token, 404, body, f"other-{number}")
        status, first = await asker.ask(path, token, body, key)
        again = await asker.ask(path, token, body, key)
        if status != 201 or again != (201, first):
            raise Broken(f"{asker.name}: a repeated submission is not answered the same: {status} {first} {again}")
        await asker.refused(path, token, 422, body + b" ", key)
    return len(drafts)


async def notices(name: str, base: str, till: Till) -> int:
    """A forged notice is refused, a good one taken, also again; one with another amount settles nothing. How many were settled."""
    first = till.take(2)
    good, forged = till.body(first), till.body(first + 1)
    async with aiohttp.ClientSession() as session:

        async def told(body: bytes, headers: dict[str, str]) -> int:
            async with session.post(base + PATH, data=body, headers=headers) as answer:
                return answer.status

        if await told(forged, till.headers(good)) != 401:
            raise Broken(f"{name}: takes a forged notice")
        for _ in range(3):
            if not 200 <= await told(good, till.headers(good)) < 300:
                raise Broken(f"{name}: refuses a good notice")
    till.settled_by.setdefault(name, []).append(first)
    return 1


class _Asker:
    def __init__(self, name: str, base: str, session: aiohttp.ClientSession) -> None:
        self.name, self.base, self.session = name, base, session

    async def ask(
        self, path: str, token: str | None, body: bytes | None = None, key: str | None = None
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if key:
            headers |= {"Idempotency-Key": key, "Content-Type": "application/json"}
        method = "POST" if body is not None else "GET"
        async with self.session.request(method, self.base + path, data=body, headers=headers) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else text.decode(errors="replace")

    async def same(self, path: str, token: str | None, truth: dict[str, Any]) -> None:
        status, content = await self.ask(path, token)
        if status != 200 or not isinstance(content, dict):
            raise Broken(f"{self.name}: GET {path} → {status}")
        if content.get("next_cursor"):
            content["next_cursor"] = "there is one"  # its form is everyone's own business
        if truth.setdefault(f"{path} {token}", content) != content:
            raise Broken(f"{self.name}: GET {path} gives another answer")

    async def refused(
        self, path: str, token: str, want: int, body: bytes | None = None, key: str | None = None
    ) -> None:
        status, _ = await self.ask(path, token, body, key)
        if status != want:
            raise Broken(f"{self.name}: {path} → {status} instead of {want}")
