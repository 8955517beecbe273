"""Who answers wrongly is not timed."""

import contextlib

import pytest
from aiohttp import web

from bench import contract, peers
from bench.data import County, Person, case_no


def county():
    people = [Person(f"ref{n}", f"token{n}", ("m",) * 3) for n in range(50)]
    made = County(people, stored=1000, version_id=1)
    made.pool = list(range(5000, 5010))
    return made


@contextlib.asynccontextmanager
async def served(known, *, leak=False, colour="red", replay=True, guess=True):
    """A small honest server, which can be told to be dishonest in one way."""
    answers = {}

    async def status(request):
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        owner = known.people[int(request.match_info["no"][-8:]) % len(known.people)].token
        if token not in {p.token for p in known.people}:
            return web.json_response({}, status=401 if guess else 200)
        if token != owner and not leak:
            return web.json_response({}, status=404)
        return web.json_response({"case_no": request.match_info["no"], "colour": colour})

    async def submit(request):
        token = request.headers["Authorization"].removeprefix("Bearer ")
        number, body = int(request.match_info["no"][-8:]), await request.read()
        if token != known.owner(number).token:
            return web.json_response({}, status=404)
        key = request.headers["Idempotency-Key"]
        if key in answers and replay:
            kept, answer = answers[key]
            return web.json_response(answer, status=201) if kept == body else web.json_response({}, status=422)
        answers[key] = (body, {"status": "submitted", "times": len(answers)})
        return web.json_response(answers[key][1], status=201)

    app = web.Application()
    app.add_routes([web.get("/api/v1/cases/{no}/status", status), web.post("/api/v1/cases/{no}/submission", submit)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    await runner.cleanup()


SCENARIOS = ("status", "submit")


async def test_an_honest_server_passes_and_its_submissions_are_counted():
    known = county()
    async with served(known) as base:
        assert await contract.check("honest", base, known, SCENARIOS, {}) == 3


@pytest.mark.parametrize("lie", [{"leak": True}, {"replay": False}, {"guess": False}])
async def test_a_server_that_breaks_a_promise_is_rejected(lie):
    known = county()
    async with served(known, **lie) as base:
        with pytest.raises(contract.Broken):
            await contract.check("liar", base, known, SCENARIOS, {})


async def test_a_server_that_answers_otherwise_than_the_first_is_rejected():
    known, truth = county(), {}
    async with served(known) as first, served(known, colour="blue") as second:
        await contract.check("first", first, known, ("status",), truth)
        with pytest.raises(contract.Broken):
            await contract.check("second", second, known, ("status",), truth)


def test_numbers_have_the_shape_of_the_products():
    assert len(case_no(7)) == 21 and case_no(7).isdigit()


def test_a_peer_that_cannot_be_had_is_said_so(monkeypatch, tmp_path):
    (peer, *_) = peers.known()
    monkeypatch.setattr(peers, "OUT", tmp_path)
    monkeypatch.setattr(peers, "REQUIREMENTS", tmp_path / "none.txt")
    (tmp_path / "none.txt").write_text("no-such-package-of-ours==0 ; python_version < '1'\n")
    with pytest.raises(peers.Missing, match="needs fastapi"):
        peers.prepare(peer)
