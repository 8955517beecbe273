"""Who may reach what: every route × every kind of caller, against objects of a played story (ASVS 8.2.1, 8.2.2; API1, API5).

Somebody else's object answers exactly like a missing one, so that nobody learns what exists.
"""

import re
import uuid

import pytest

from deploy.local.story import COURIER_LOGIN, COURIER_PASSWORD, ITEM, REGION, TOWN
from miniprogram_api.app import load_endpoints
from miniprogram_api.endpoints import Endpoint
from tests.security.policy import MISSING, POLICY, Reach, twins
from tests.security.stage import AGENT_LOGIN, AGENT_PASSWORD, Answer, Caller, Stage

ROWS = load_endpoints()
ROUTES = [f"{row.method} {row.route}" for row in ROWS] + [f"POST {row.route}" for row in twins(ROWS)]
ROLE_OF = {
    "owner": "citizen", "other citizen": "citizen", "courier with the parcel": "courier",
    "courier without the parcel": "courier", "agent": "agent",
}  # fmt: skip
STRANGERS = ("other citizen", "courier without the parcel", "agent")
NOT_LOGGED_IN = ("anonymous", "garbage token", "ended session")
OWNED = [route for route in ROUTES if POLICY[route].objects]


def described(route: str) -> tuple[Endpoint, Reach]:
    method, path = route.split(" ")
    row = next((r for r in ROWS if (r.method, r.route) == (method, path)), None)
    return row or next(r for r in twins(ROWS) if r.route == path), POLICY[route]


async def ask(stage: Stage, who: str | Caller, route: str, objects: dict[str, str]) -> Answer:
    """One request on this route about these objects, as the phone would send it."""
    caller = stage.people[who] if isinstance(who, str) else who
    row, reach = described(route)
    method, path = route.split(" ")
    given = dict(reach.headers)
    if row.method == "PATCH" and method == "POST":
        given["X-HTTP-Method-Override"] = "PATCH"
    names = {name: objects[known] for name, known in reach.objects.items()}
    fixed = {name: value for name, value in reach.fixed.items() if name not in names}
    return await caller.send(
        method, path.format(**names, **fixed) + reach.query, json=reach.body, data=reach.data, headers=given
    )


def test_every_route_has_a_policy_and_every_policy_a_route():
    assert set(ROUTES) == set(POLICY)


def test_the_policy_and_the_table_of_routes_name_the_same_roles():
    """Two people wrote the same rule down twice; a role that is added in one place only is noticed."""
    for row in ROWS:
        assert row.roles == POLICY[f"{row.method} {row.route}"].roles, row.route


@pytest.mark.parametrize("route", [r for r in ROUTES if POLICY[r].roles])
async def test_nobody_gets_in_without_a_living_session(stage, route):
    """No token, a made-up one and an ended one are told the same, whether the object exists or not."""
    answers = [await ask(stage, who, route, world) for who in NOT_LOGGED_IN for world in (stage.objects, MISSING)]
    assert {a.status for a in answers} == {401}
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"
    if route.split(" ")[0] != "HEAD":
        assert {a.code for a in answers} == {"not-logged-in"}
    assert all(a.without_its_name() == answers[0].without_its_name() for a in answers)


@pytest.mark.parametrize("route", [r for r in ROUTES if POLICY[r].roles and set(ROLE_OF.values()) - POLICY[r].roles])
async def test_nobody_may_act_in_a_role_that_is_not_theirs(stage, route):
    """Not even the courier who carries her parcel; and it shows nothing of whether the object exists."""
    callers = [who for who, role in ROLE_OF.items() if role not in POLICY[route].roles]
    answers = [await ask(stage, who, route, world) for who in callers for world in (stage.objects, MISSING)]
    assert {a.status for a in answers} == {403}
    assert all(a.without_its_name() == answers[0].without_its_name() for a in answers)


def test_an_agent_reaches_nothing_but_their_own_account_and_the_logout():
    """Until there are mandates; a route that lets agents in must be decided here."""
    assert {route for route in ROUTES if "agent" in POLICY[route].roles} == {
        "GET /api/v1/agent/me", "POST /api/v1/logout", "POST /api/v1/logout/all"
    }  # fmt: skip


async def test_an_agent_sees_their_own_account(stage):
    answer = await ask(stage, "agent", "GET /api/v1/agent/me", {})
    assert answer.status == 200
    assert answer.json["name"] == "白**" and answer.json["kind_label"] == "代办员"


@pytest.mark.parametrize("route", OWNED)
async def test_somebody_elses_object_answers_exactly_like_a_missing_one(stage, route):
    """Status, headers and body, apart from the request's own id."""
    strangers = [who for who in STRANGERS if ROLE_OF[who] in POLICY[route].roles]
    assert strangers
    for who in strangers:
        theirs, missing = await ask(stage, who, route, stage.objects), await ask(stage, who, route, MISSING)
        assert theirs.status == 404
        assert theirs.without_its_name() == missing.without_its_name()


@pytest.mark.parametrize("route", [r for r in OWNED if POLICY[r].reached])
async def test_the_owner_reaches_the_object(stage, route):
    """So that the refusals above say something: the same request by the right person is not refused for who they are."""
    reach = POLICY[route]
    who = "courier with the parcel" if "citizen" not in reach.roles else "owner"
    answer = await ask(stage, who, route, stage.objects)
    assert answer.status in reach.reached, answer.body


@pytest.mark.parametrize("route", [r for r in ROUTES if not POLICY[r].roles])
async def test_a_public_route_answers_everybody_alike(stage, route):
    """Nobody needs a login there, and a token neither helps nor hurts."""
    callers = (*NOT_LOGGED_IN, *ROLE_OF)
    answers = [await ask(stage, who, route, MISSING) for who in callers]
    assert {a.status for a in answers} == {answers[0].status}
    assert answers[0].status in POLICY[route].reached
    assert answers[0].status != 403


@pytest.mark.parametrize(
    ("route", "items"),
    [
        ("GET /api/v1/cases", "items"), ("GET /api/v1/bills", "items"), ("GET /api/v1/messages", "items"),
        ("GET /api/v1/courier/parcels", "items"),
    ],
)  # fmt: skip
async def test_lists_hold_only_what_is_mine(stage, route, items):
    """Also with the cursor of somebody else's page."""
    courier = "courier" in route
    mine, stranger = (
        ("courier with the parcel", "courier without the parcel") if courier else ("owner", "other citizen")
    )
    path = route.split(" ")[1]
    page = (await stage.people[mine].send("GET", f"{path}?limit=1")).json
    assert page[items]
    assert (await stage.people[stranger].send("GET", path)).json[items] == []
    if page["next_cursor"]:
        stolen = await stage.people[stranger].send("GET", f"{path}?cursor={page['next_cursor']}")
        invented = await stage.people[stranger].send("GET", f"{path}?cursor={'0' * len(page['next_cursor'])}")
        assert stolen.without_its_name() == invented.without_its_name() or stolen.json[items] == []


async def test_an_answer_cannot_be_fetched_with_the_owners_idempotency_key(stage):
    """Keys belong to an account: the same key and body from another person is another command."""
    key = uuid.uuid4().hex
    body = {"item_code": ITEM, "region_code": REGION}
    hers = await stage.owner.send("POST", "/api/v1/cases", json=body, key=key)
    his = await stage.people["other citizen"].send("POST", "/api/v1/cases", json=body, key=key)
    again = await stage.owner.send("POST", "/api/v1/cases", json=body, key=key)
    assert hers.status == his.status == again.status == 201
    assert again.json == hers.json
    assert his.json["case_no"] != hers.json["case_no"]


@pytest.mark.parametrize(("borrowed", "told"), [("material_id", "照片没有找到"), ("quote_no", "请先查询寄送费用")])
async def test_an_application_cannot_borrow_somebody_elses_photo_or_quote(stage, borrowed, told):
    """Objects that are named inside a body are checked like those in a path (API3): foreign is the same as unknown."""
    other = stage.people["other citizen"]
    own = await other.own_things(TOWN)
    draft = (await other.send("POST", "/api/v1/cases", json={"item_code": ITEM, "region_code": REGION})).json
    answers = []
    for world in (stage.objects, MISSING):
        named = own | {borrowed: world[borrowed]}
        body = {
            "form": {"for_whom": "本人", "reason": "遗失", "contact_mobile": "13900000005", "old_card_void": True},
            "materials": [{"code": code, "material_ids": [named["material_id"]]} for code in ("PHOTO", "IDCARD")],
            "delivery": {
                "way": "mail",
                "quote_no": named["quote_no"],
                "recipient": {"name": "赵磊", "phone": "13900000005", "region_code": TOWN, "address": "幸福路 8 号"},
            },
        }
        answers.append(await other.send("POST", f"/api/v1/cases/{draft['case_no']}/submission", json=body))
    assert answers[0].status == 422, answers[0].body
    assert told in str(answers[0].json["errors"])
    assert answers[0].without_its_name() == answers[1].without_its_name()


async def test_a_courier_cannot_use_the_citizens_photo_as_evidence(stage):
    courier = stage.people["courier with the parcel"]
    path = f"/api/v1/courier/parcels/{stage.objects['waybill_no']}/attempt-failed"
    answers = [
        await courier.send("POST", path, json={"reason": "refused", "photo": world["material_id"]})
        for world in (stage.objects, MISSING)
    ]
    assert answers[0].status in (404, 422)
    assert answers[0].without_its_name() == answers[1].without_its_name()


async def test_reading_somebody_elses_message_marks_nothing(stage):
    other = stage.people["other citizen"]
    for world in (stage.objects, MISSING):
        answer = await other.send("POST", "/api/v1/messages/read", json={"message_nos": [world["message_id"]]})
        assert (answer.status, answer.json) == (200, {"count": 0})


async def test_a_result_is_not_found_under_another_case(stage):
    """Both numbers are the owner's own, but they do not belong together."""
    path = "/api/v1/cases/{}/results/{}"
    own, missing = stage.objects["draft_no"], MISSING["result_id"]
    wrong = await stage.owner.send("GET", path.format(own, stage.objects["result_id"]))
    assert wrong.status == 404
    assert wrong.without_its_name() == (await stage.owner.send("GET", path.format(own, missing))).without_its_name()


async def test_a_session_ends_everywhere_at_once(stage):
    """ASVS 7.4.1: after logout neither token does anything any more, and other devices of the same person go on."""
    first, second = await stage.citizen("lixiaojun", verified=False), await stage.citizen("lixiaojun", verified=False)
    assert (await first.send("POST", "/api/v1/logout")).status == 200
    assert (await first.send("GET", "/api/v1/me")).status == 401
    refused = await first.send("POST", "/api/v1/login/refresh", json={"refresh_token": first.refresh_token})
    assert (refused.status, refused.code) == (401, "session-ended")
    assert (await second.send("GET", "/api/v1/me")).status == 200
    assert (await second.send("POST", "/api/v1/logout/all")).status == 200
    assert (await second.send("GET", "/api/v1/me")).status == 401


@pytest.mark.parametrize("role", ["courier", "agent"])
async def test_a_field_workers_session_ends_everywhere_at_once(stage, role):
    """Of one person only: the story's courier and agent go on with their own."""
    login = f"leaves-{role}"
    more = () if role == "courier" else ("--organisation", "玉门镇", "--since", "2024-05-01")
    said = await stage.stack.command(role, "create", login, "--name", "要离开", "--areas", "620981106", *more)
    password = re.search(r"密码 (\S+?)（", said)[1]
    first, second, third = [await stage.field_worker(role, login, password) for _ in range(3)]
    me = f"/api/v1/{role}/me"
    assert (await first.send("POST", "/api/v1/logout")).status == 200
    assert (await first.send("GET", me)).status == 401
    assert (await second.send("GET", me)).status == 200
    body = {"refresh_token": second.refresh_token}
    second.token = (await second.send("POST", "/api/v1/login/refresh", json=body)).json["access_token"]
    stage.tokens.add(second.token)
    assert (await second.send("POST", "/api/v1/logout/all")).status == 200
    assert [(await one.send("GET", me)).status for one in (second, third)] == [401, 401]
    fourth = await stage.field_worker(role, login, password)
    await stage.stack.command(role, "disable", login)
    assert (await fourth.send("GET", me)).status == 401
    refused = await fourth.send("POST", f"/api/v1/{role}/login", json={"login_name": login, "password": password})
    assert (refused.status, refused.code) == (401, "wrong-password")
    assert (await stage.people["agent"].send("GET", "/api/v1/agent/me")).status == 200


async def test_the_other_roles_door_answers_as_to_a_wrong_password(stage):
    """Nobody learns from a door who has an account at the other one."""
    wrong = [
        ("courier", AGENT_LOGIN, AGENT_PASSWORD), ("agent", COURIER_LOGIN, COURIER_PASSWORD),
        ("agent", AGENT_LOGIN, "not-the-password"), ("agent", "nobody", "not-the-password"),
    ]  # fmt: skip
    answers = [
        await stage.caller().send("POST", f"/api/v1/{door}/login", json={"login_name": name, "password": password})
        for door, name, password in wrong
    ]
    assert {(a.status, a.code) for a in answers} == {(401, "wrong-password")}
    assert all(a.without_its_name() == answers[0].without_its_name() for a in answers)


async def test_a_refresh_token_used_twice_ends_the_family(stage):
    """Nobody can tell the thief from the owner: both must log in again (ASVS 7.2.4)."""
    phone = await stage.citizen("lixiaojun", verified=False)
    body = {"refresh_token": phone.refresh_token}
    renewed = (await phone.send("POST", "/api/v1/login/refresh", json=body, key="first-try")).json
    assert (await phone.send("GET", "/api/v1/me")).status == 401  # the old access token ended with the rotation
    phone.token = renewed["access_token"]
    assert (await phone.send("GET", "/api/v1/me")).status == 200
    assert (await phone.send("POST", "/api/v1/login/refresh", json=body, key="a-thief")).status == 401
    assert (await phone.send("GET", "/api/v1/me")).status == 401


async def test_a_refresh_token_opens_no_door_itself(stage):
    caller = stage.caller(stage.owner.refresh_token)
    assert (await caller.send("GET", "/api/v1/me")).status == 401
