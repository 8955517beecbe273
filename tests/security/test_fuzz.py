"""Random requests through the shipped nginx: first what the served OpenAPI document allows and forbids, then what HTTP itself forbids.

The seed is fixed, so a failure comes back; FUZZ_SEED and FUZZ_SECONDS widen a campaign.
"""

import asyncio
import itertools
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from requests.adapters import HTTPAdapter
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from tests.security.stage import Stage
from tests.security.wire import exchange, head

SEED = int(os.environ.get("FUZZ_SEED", "0"))
SECONDS = float(os.environ.get("FUZZ_SECONDS", "60"))
PROMISES = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
# A part of a resumable upload is bytes like any other.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
# With a real object these would end the story that later tests go on with.
_STORY_ENDS = ("/courier/parcels/", "/sign-code")


class _From(HTTPAdapter):
    """Requests from one loopback address, so that limits per address leave room for breadth."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, source_address=(self.address, 0), **kwargs)


@dataclass
class Phone:
    """Somebody who sends random requests."""

    token: str
    session: requests.Session


@dataclass
class Findings:
    """What was sent and what came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    lies: dict[str, str] = field(default_factory=dict)
    slowest_seconds: float = 0.0

    def note(self, case: Any, response: Any, seconds: float) -> None:
        self.statuses[response.status_code] += 1
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        if response.status_code >= 500:
            self.broken.append(f"{response.status_code} {case.as_curl_command()}")
            return
        shown = response.content[:500].decode(errors="replace")
        try:
            case.validate_response(response, checks=PROMISES)
        except FailureGroup as group:
            for failure in group.exceptions:
                key = f"{case.operation.label} → {response.status_code}: {failure.title}"
                self.lies.setdefault(key, f"{failure.message}\n{case.as_curl_command()}\n{shown}")


async def phones(stage: Stage, people: list[str]) -> list[Phone]:
    """Logged in, each with an own address."""
    found = []
    for number, person in enumerate(people):
        session = requests.Session()
        session.trust_env = False
        session.mount("http://", _From(f"127.0.9.{number + 1}"))
        token = stage.people[person].token if person in stage.people else (await stage.citizen(person)).token
        found.append(Phone(token or "", session))
    return found


def substitute(case: Any, objects: dict[str, str], chance: random.Random) -> bool:
    """Often a real object of the sender: a name that nobody owns ends every request at the door."""
    names = case.path_parameters or {}
    if not names or any(word in case.operation.path for word in _STORY_ENDS) or chance.random() < 0.3:
        return False
    real = dict(objects)
    if case.operation.method.upper() != "GET" and "case_no" in names:
        real["case_no"] = chance.choice([objects["case_no"], objects["draft_no"]])
    known = {name: real.get(name) for name in names}
    if None in known.values():
        return False
    case.path_parameters.update(known)
    return True


class Fuzzer:
    """Walks all operations round by round until the time is over."""

    def __init__(self, stage: Stage, citizens: list[Phone], couriers: list[Phone], agents: list[Phone]) -> None:
        self.stage, self.citizens = stage, citizens
        self.field_workers = {"/courier/": couriers, "/agent/": agents}
        self.found = Findings()
        self.chance = random.Random(SEED)
        self.ends = 0.0

    def run(self, document: dict[str, Any]) -> Findings:
        schema = schemathesis.openapi.from_dict(document)
        operations = [result.ok() for result in schema.get_all_operations()]
        self.ends = time.monotonic() + SECONDS
        for turn in itertools.count():
            for operation in operations:
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    if time.monotonic() > self.ends:
                        return self.found
                    self._some(operation, mode, turn)
        raise AssertionError("unreachable")

    def _some(self, operation: Any, mode: GenerationMode, turn: int) -> None:
        @seed(SEED * 1000 + turn)
        @settings(
            max_examples=12,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def once(case: Any) -> None:
            if time.monotonic() < self.ends:
                self._send(case)

        try:
            once()
        except Unsatisfiable:
            return  # nothing can be wrong about a request that takes nothing

    def _send(self, case: Any) -> None:
        owns = substitute(case, self.stage.objects, self.chance)
        path = case.operation.path
        crowd = next((them for part, them in self.field_workers.items() if part in path), self.citizens)
        phone = crowd[-1] if owns else self.chance.choice(crowd)
        # A logout is played with a token that nobody else needs; some requests come from strangers.
        stranger = "/logout" in case.operation.path or self.chance.random() < 0.03
        headers = {"Authorization": "Bearer " + ("x" * 43 if stranger else phone.token)}
        began = time.monotonic()
        response = case.call(base_url=self.stage.stack.api, session=phone.session, headers=headers, timeout=20)
        self.found.note(case, response, time.monotonic() - began)


async def test_nothing_the_description_allows_or_forbids_breaks_the_service(stage):
    """Valid and invalid requests for every operation: no 5xx, and every answer is one that the description promises."""
    document = (await stage.people["anonymous"].send("GET", "/openapi.json")).json
    citizens = await phones(stage, [*(f"fuzz-{n}" for n in range(8)), "owner"])
    couriers = await phones(stage, ["courier without the parcel", "courier with the parcel"])
    agents = await phones(stage, ["agent"])
    fuzzer = Fuzzer(stage, citizens, couriers, agents)
    try:
        found = await asyncio.to_thread(fuzzer.run, document)
    finally:
        for phone in [*citizens, *couriers, *agents]:
            phone.session.close()
    print(
        f"{sum(found.statuses.values())} requests: {dict(sorted(found.statuses.items()))}; slowest {found.slowest_seconds:.2f} s"
    )
    assert not found.broken, "\n".join(found.broken[:10])
    assert not found.lies, "\n\n".join(f"{key}\n{text}" for key, text in list(found.lies.items())[:10])
    assert found.slowest_seconds < 15
    assert sum(found.statuses.values()) > 300
    assert found.statuses[200] + found.statuses[201] > 50  # it came past the door


# -- bytes ------------------------------------------------------------------------------------------------------------------------

_METHODS = (
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "get",
    "P\xb3ST",
    "G ET",
    "",
    "A" * 300,
    "PRI",
)
_PATHS = (
    "/api/v1/items", "/api/v1/cases", "/api/v1/../v1/me", "//api//v1//me", "/api/v1/items/%00", "/api/v1/items/%ff%fe",
    "/api/v1/items/%2e%2e%2fme", "*", "http://other/api/v1/me", "/api/v1/items?q=%", "/api/v1/items?" + "a=1&" * 3000,
    "/" + "a" * 9000, "/api/v1/items\t", "/api/v1/items?q=\x00", "/api/v1/\xe5\xbc\xa0", "/api/v1/cases/" + "1" * 21, "",
)  # fmt: skip
_VERSIONS = ("HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/9.9", "http/1.1", "HTTP/1.1 ", "FTP/1.1", "")
_HEADERS = (
    b"Host: api", b"Host:", b"Host: a\r\nHost: b", b"Content-Length: 5", b"Content-Length: -1", b"Content-Length: 5, 5",
    b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: 99999999999999999999", b"Content-Length: 0x5",
    b"Content-Length: +5", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding : chunked",
    b"Tra sfer: x", b"X-A: b\rc", b"X-A: b\x00c", b"X-A\r\n : folded", b" leading: space", b": no-name", b"no colon",
    b"X-" + b"a" * 9000 + b": 1", b"X-A: " + b"b" * 9000, b"X-A: 1\r\n" * 200 + b"X-B: 2", b"Expect: 100-continue",
    b"Expect: 200-maybe", b"Connection: upgrade\r\nUpgrade: websocket", b"Connection: keep-alive, close", b"Upgrade: h2c",
    b"Authorization: Bearer", b"Authorization: Bearer " + b"\xff" * 50, b"Authorization: Basic eA==", b"Cookie: " + b"a=1;" * 500,
    b"Range: bytes=0-0,-1,999999-", b"If-None-Match: " + b'"x",' * 500, b"Accept-Encoding: gzip;q=nan", b"X-Request-Id: \xff\xfe",
    b"X-HTTP-Method-Override: PATCH", b"Idempotency-Key: \xe9\x94\xae", b"Content-Type: application/json; charset=utf-16",
    b"Content-Encoding: gzip", b"X-Forwarded-For: " + b"1.2.3.4, " * 300, b"X-Real-IP: \"><script>", b"TE: trailers",
)  # fmt: skip
_BODIES = (
    b"", b"{}", b"hello", b"5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n", b"ffffffffffffffff\r\nx",
    b"-5\r\nhello\r\n0\r\n\r\n", b"5;ext=\"a\"\r\nhello\r\n0\r\n\r\n", b"5\nhello\n0\n\n", b"\x00" * 100, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    b"x" * 70_000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)  # fmt: skip


def mutant(chance: random.Random) -> bytes:
    """A request that is wrong in a few of the many ways there are."""
    line = f"{chance.choice(_METHODS)} {chance.choice(_PATHS)} {chance.choice(_VERSIONS)}".encode("latin-1", "replace")
    if chance.random() < 0.6:  # a good first line lets the rest be looked at
        line = f"{chance.choice(['GET', 'POST', 'PUT'])} {chance.choice(_PATHS[:2])} HTTP/1.1".encode()
    headers = [b"Host: api", *chance.sample(_HEADERS, chance.randrange(0, 5))]
    raw = b"\r\n".join([line, *headers, b"", chance.choice(_BODIES)])
    for _ in range(chance.choice([0, 0, 1, 3, 20])):
        place = chance.randrange(len(raw))
        raw = chance.choice([
            raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :], raw[:place] + raw[place + 1 :],
            raw[:place] + raw[chance.randrange(len(raw)) :], raw[:place] + b"\r\n" + raw[place:], raw[:place],
        ]) or b"\n"  # fmt: skip
    return raw


async def test_no_malformed_request_breaks_or_hangs_the_service(stage):
    """Thirty-two lines at once, each wrong in its own way: nginx answers or closes, and honest requests go on."""
    chance = random.Random(SEED)
    ends = time.monotonic() + SECONDS / 3
    statuses: Counter[int | None] = Counter()
    broken: list[tuple[bytes, bytes]] = []
    hanging: list[bytes] = []

    async def one_line() -> None:
        while time.monotonic() < ends:
            raw = mutant(chance)
            reply = await exchange(stage.nginx.port, raw, seconds=12, half_close=True)
            statuses[reply.status] += 1
            if any(status >= 500 for status in reply.statuses):
                broken.append((raw, reply.raw[:300]))
            if not reply.closed:
                hanging.append(raw)

    lines = asyncio.gather(*(one_line() for _ in range(32)))
    honest: Counter[int] = Counter()
    while not lines.done():
        honest[(await stage.owner.send("GET", "/api/v1/me")).status] += 1
        await asyncio.sleep(0.2)
    await lines
    print(f"{sum(statuses.values())} malformed requests: {dict(statuses)}; honest meanwhile: {dict(honest)}")
    assert not broken, broken[:5]
    assert not hanging, hanging[:5]
    assert set(honest) == {200}
    assert statuses[400] > 20 and sum(statuses.values()) > 100


async def test_bytes_after_a_request_are_never_read_as_another_persons_request(stage):
    """Smuggling: whatever the two of them think of lengths, one request gets one answer, and the hidden one none (ASVS 4.2.1)."""
    hidden = b"GET /api/v1/courier/me HTTP/1.1\r\nHost: api\r\n\r\n"
    for headers in (
        {"Content-Length": "4", "Transfer-Encoding": "chunked"},
        {"Transfer-Encoding": "chunked", "Content-Length": "4"},
        {"Transfer-Encoding": "xchunked"},
        {"Transfer-Encoding": "chunked, identity"},
        {"Transfer-Encoding": "\x0bchunked"},
        {"Content-Length": f"{5 + len(hidden)}", "Transfer-Encoding ": "chunked"},
    ):
        request = head("POST", "/api/v1/case-query", headers) + b"0\r\n\r\n" + hidden
        reply = await exchange(stage.nginx.port, request, seconds=8, half_close=True)
        assert len(reply.statuses) <= 1, reply.raw
        assert 401 not in reply.statuses and not [s for s in reply.statuses if s >= 500], reply.raw
