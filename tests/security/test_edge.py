"""How the outer edge behaves, through nginx and without it: headers, refusals, methods, keys, origins, addresses, limits."""

import asyncio
import io
import uuid
from urllib.parse import quote

import pytest

from miniprogram_api.app import load_endpoints
from tests.security.policy import MISSING, POLICY
from tests.security.refusals import is_a_problem, is_guarded

ROWS = load_endpoints()

# -- every answer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "method", "path", "status"),
    [
        ("owner", "GET", "/api/v1/me", 200), ("owner", "GET", "/api/v1/cases", 200),
        ("anonymous", "GET", "/api/v1/items", 200), ("anonymous", "GET", "/healthz", 200),
        ("anonymous", "GET", "/openapi.json", 200), ("anonymous", "GET", "/api/v1/me", 401),
        ("owner", "GET", "/api/v1/courier/me", 403), ("owner", "GET", f"/api/v1/bills/{'0' * 26}", 404),
        ("owner", "GET", "/api/v1/no-such-thing", 404), ("owner", "DELETE", "/api/v1/me", 405),
        ("owner", "GET", "/api/v1/cases?limit=0", 422), ("anonymous", "POST", "/api/v1/callbacks/wechat", 400),
    ],
)  # fmt: skip
@pytest.mark.parametrize("door", ["nginx", "api alone"])
async def test_every_answer_carries_the_security_headers(stage, who, method, path, status, door):
    """ASVS 3.4: also refusals, also what the framework itself refuses."""
    base = stage.stack.api if door == "nginx" else stage.stack.api_direct
    answer = await stage.people[who].send(method, path, base=base)
    assert answer.status == status
    is_guarded(answer)
    if door == "nginx":
        assert "max-age=31536000" in answer.headers["Strict-Transport-Security"]
    if status >= 400:
        is_a_problem(answer, status)


async def test_the_reference_page_may_style_itself_and_nothing_else(stage):
    answer = await stage.people["anonymous"].send("GET", "/docs")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"<script" not in answer.body


async def test_a_photo_is_served_as_a_download_of_our_type(stage):
    """Whatever was uploaded, a browser never runs or sniffs it, and no proxy keeps it."""
    for part in ("", "/thumbnail"):
        answer = await stage.owner.send("GET", f"/api/v1/materials/{stage.objects['material_id']}{part}")
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["Cache-Control"] == "private, no-cache"
        is_guarded(answer)


async def test_answers_say_nothing_about_what_we_run(stage):
    for answer in (
        await stage.people["anonymous"].send("GET", "/api/v1/items"),
        await stage.people["anonymous"].send("GET", "/nothing"),
        await stage.owner.send("GET", "/api/v1/nothing"),
    ):
        assert answer.headers["Server"] == "nginx"
        assert "X-Powered-By" not in answer.headers


# -- what nginx itself refuses ------------------------------------------------------------------------------------------


async def test_nginx_refuses_in_our_words(stage):
    """A phone shows the same kind of message whoever refused it."""
    anybody = stage.people["anonymous"]
    lost = await anybody.send("GET", "/wp-login.php")
    is_a_problem(lost, 404, "not-found")
    is_guarded(lost)
    big = await stage.owner.send("POST", "/api/v1/materials", data=io.BytesIO(b"\0" * (12 * 1024 * 1024 + 1)))
    is_a_problem(big, 413, "too-large")
    is_guarded(big)
    assert "max-age=31536000" in big.headers["Strict-Transport-Security"]


# -- bodies -------------------------------------------------------------------------------------------------------------


async def test_a_body_over_the_limit_is_refused_before_it_is_read_as_json(stage):
    body = b'{"reason":"' + b"x" * (256 * 1024) + b'"}'
    path = f"/api/v1/cases/{stage.objects['case_no']}/withdrawal"
    for base in (stage.stack.api, stage.stack.api_direct):
        is_a_problem(await stage.owner.send("POST", path, data=body, base=base), 413, "too-large")


async def test_a_photo_over_the_limit_is_refused_with_its_size_named(stage):
    answer = await stage.owner.upload(b"\xff\xd8\xff" + b"\0" * 10_600_000)
    is_a_problem(answer, 413)
    assert "10 MB" in answer.json["title"]


async def test_a_photo_that_is_no_form_is_refused(stage):
    answer = await stage.owner.send("POST", "/api/v1/materials", json={"file": "photo"})
    is_a_problem(answer, 415, "upload-not-a-form")


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{", 400, "not-json"), (b"\xff\xfe{}", 400, "not-json"), (b"null", 422, "invalid-input"),
        (b"[" * 100_000, 400, "not-json"), (b"[" * 500 + b"]" * 500, 400, "not-json"),
        (b'{"reason": NaN}', 400, "not-json"), (b'{"reason": 1e999}', 400, "not-json"),
        (b'{"reason": 99999999999999999999999999}', 422, "invalid-input"),
        (b'{"reason": "\\u0000"}', 422, "invalid-input"), (b'{"reason": "\\ud800"}', 400, "not-json"),
        (b'{"other": 1}', 422, "invalid-input"), (b'{"reason": ' + b'"x"' * 1 + b', "reason2": 1}', 422, "invalid-input"),
    ],
)  # fmt: skip
async def test_odd_json_is_refused_and_never_repeated(stage, raw, status, code):
    path = f"/api/v1/cases/{stage.objects['case_no']}/withdrawal"
    answer = await stage.owner.send("POST", path, data=raw, headers={"Content-Type": "application/json"})
    is_a_problem(answer, status, code)
    assert b"9999999" not in answer.body


async def test_every_wrong_field_is_named_at_once_and_unknown_ones_too(stage):
    answer = await stage.owner.send("POST", "/api/v1/cases", json={"region_code": 1, "is_admin": True})
    is_a_problem(answer, 422, "invalid-input")
    assert {e["pointer"] for e in answer.json["errors"]} == {"/item_code", "/region_code", "/is_admin"}


@pytest.mark.parametrize(
    "query",
    ["?limit=0", "?limit=101", "?limit=ten", "?limit=1&limit=2", "?owner=1", "?cursor=%00"],
)
async def test_a_wrong_query_is_refused(stage, query):
    is_a_problem(await stage.owner.send("GET", "/api/v1/cases" + query), 422, "invalid-input")


LISTS = [
    f"{row.method} {row.route}" for row in ROWS if row.query is not None and "cursor" in row.query.__struct_fields__
]


@pytest.mark.parametrize("route", LISTS)
@pytest.mark.parametrize(
    "cursor", ["0", "A" * 27, "z" * 41, "9" * 65, "a" * 200, "MTIz.NDU2", "-1", "620981261120200000013"]
)
async def test_an_invented_cursor_is_refused_or_leads_nowhere(stage, route, cursor):
    """However long it is: the columns behind are shorter than what a query may hold."""
    who = stage.people["courier with the parcel" if "/courier/" in route else "owner"]
    answer = await who.send("GET", f"{route.split(' ')[1]}?cursor={cursor}")
    assert answer.status in (200, 404, 422), answer.body


@pytest.mark.parametrize("role", ["courier", "agent"])
@pytest.mark.parametrize("length", [1, 40, 41, 64])
async def test_a_login_name_of_any_length_is_simply_wrong(stage, length, role):
    body = {"login_name": "x" * length, "password": "y" * 128}
    answer = await stage.people["anonymous"].send("POST", f"/api/v1/{role}/login", json=body)
    assert answer.status in (401, 422), answer.body


@pytest.mark.parametrize("region", ["000000", "000000000", "000000000000", "012345", "999999", "620981\n"])
@pytest.mark.parametrize(
    "path", ["/api/v1/items?region=", "/api/v1/regions?parent=", "/api/v1/delivery-quotes?region_code="]
)
async def test_a_place_that_does_not_exist_is_no_fault_of_ours(stage, path, region):
    answer = await stage.owner.send("GET", path + quote(region))
    assert answer.status in (200, 404, 422), answer.body


ENDINGS = {
    "POST /api/v1/case-query": {"case_no": "6" * 21 + "\n", "password": "123456"},
    "POST /api/v1/cases": {"item_code": "YM-YDZ-BB\n", "region_code": "620981\n"},
    "POST /api/v1/messages/read": {"message_nos": ["a" * 26 + "\n"]},
    "POST /api/v1/courier/parcels/{waybill_no}/handover": {"code": "123456\n"},
    "POST /api/v1/courier/parcels/{waybill_no}/attempt-failed": {"reason": "nobody", "photo": "a" * 26 + "\n"},
}


@pytest.mark.parametrize("route", ENDINGS)
async def test_a_line_end_behind_a_wellformed_value_does_not_fit(stage, route):
    """In most languages `$` also matches before a last line end; a column that is exactly as long as the pattern does not."""
    method, path = route.split(" ")
    who = stage.people["courier with the parcel" if "/courier/" in path else "owner"]
    answer = await who.send(method, path.format(**stage.objects), json=ENDINGS[route])
    is_a_problem(answer, 422, "invalid-input")


# -- methods ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT", "TRACE", "OPTIONS", "BREW"])
async def test_a_method_that_a_path_does_not_know_is_405_and_says_which_it_does(stage, method):
    answer = await stage.owner.send(method, "/api/v1/cases", base=stage.stack.api_direct)
    is_a_problem(answer, 405, "method-not-allowed")
    assert set(answer.headers["Allow"].replace(" ", "").split(",")) >= {"GET", "POST"}
    through_nginx = await stage.owner.send(method, "/api/v1/cases")
    assert through_nginx.status == 405


async def test_a_patch_also_comes_as_post_but_only_when_it_says_so(stage):
    """wx.request knows no PATCH."""
    path = f"/api/v1/uploads/{await stage.start_upload(stage.owner, 10)}"
    part = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
    is_a_problem(await stage.owner.send("POST", path, data=b"12345", headers=part), 405)
    wrong = part | {"X-HTTP-Method-Override": "DELETE"}
    is_a_problem(await stage.owner.send("POST", path, data=b"12345", headers=wrong), 405)
    right = part | {"X-HTTP-Method-Override": "PATCH"}
    answer = await stage.owner.send("POST", path, data=b"12345", headers=right)
    assert (answer.status, answer.headers["Upload-Offset"]) == (200, "5")


async def test_an_override_changes_no_other_route(stage):
    """The header is no second way to a method that was not declared for it."""
    headers = {"X-HTTP-Method-Override": "DELETE"}
    answer = await stage.owner.send("GET", "/api/v1/me", headers=headers)
    assert answer.status == 200


async def test_head_tells_how_far_an_upload_is_and_has_no_body(stage):
    upload = await stage.start_upload(stage.owner, 10)
    answer = await stage.owner.send("HEAD", f"/api/v1/uploads/{upload}")
    assert (answer.status, answer.body) == (200, b"")
    assert (answer.headers["Upload-Offset"], answer.headers["Upload-Length"]) == ("0", "10")
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    missing = await stage.owner.send("HEAD", f"/api/v1/uploads/{MISSING['upload_id']}")
    assert (missing.status, missing.body) == (404, b"")


# -- idempotency keys ---------------------------------------------------------------------------------------------------

KEYED = [f"{row.method} {row.route}" for row in ROWS if row.idempotent]


def test_every_post_that_creates_or_moves_something_wants_a_key():
    """What goes without: logins and reads by POST, marks that may be set twice, streams that carry their own offset."""
    keyless = {
        "POST /api/v1/login/wechat", "POST /api/v1/login/refresh", "POST /api/v1/courier/login", "POST /api/v1/agent/login",
        "POST /api/v1/logout", "POST /api/v1/logout/all", "POST /api/v1/me/phone", "POST /api/v1/case-query", "POST /api/v1/materials",
        "POST /api/v1/uploads/{upload_id}/completion", "POST /api/v1/messages/read", "POST /api/v1/messages/subscriptions",
    }  # fmt: skip
    posts = {f"{row.method} {row.route}" for row in ROWS if row.method == "POST" and "/callbacks/" not in row.route}
    assert posts - keyless == set(KEYED)


@pytest.mark.parametrize("route", KEYED)
async def test_a_command_without_its_key_is_refused(stage, route):
    assert await _with_key(stage, route, None) == (400, "idempotency-key-missing")


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "键", "a b", "tab\tkey"])
async def test_an_odd_key_is_refused(stage, key):
    assert await _with_key(stage, "POST /api/v1/cases/{case_no}/withdrawal", key) == (400, "idempotency-key-missing")


async def _with_key(stage, route: str, key: str | None) -> tuple[int, str]:
    method, path = route.split(" ")
    who = stage.people["courier with the parcel" if "/courier/" in path else "owner"]
    reach = POLICY[route]
    full = path.format(**{name: stage.objects[known] for name, known in reach.objects.items()}, **reach.fixed)
    headers = {"Authorization": f"Bearer {who.token}"} | ({} if key is None else {"Idempotency-Key": key})
    async with who.session.request(method, who.base + full, json=reach.body or {}, headers=headers) as answer:
        return answer.status, (await answer.json(content_type=None))["code"]


async def test_a_key_repeats_the_answer_and_refuses_another_body(stage):
    body = {"item_code": "YM-YDZ-BB", "region_code": "620981"}
    key = uuid.uuid4().hex
    first = await stage.owner.send("POST", "/api/v1/cases", json=body, key=key)
    again = await stage.owner.send("POST", "/api/v1/cases", json=body, key=key)
    assert (first.status, first.body) == (again.status, again.body) == (201, first.body)
    other = await stage.owner.send("POST", "/api/v1/cases", json=body | {"region_code": "620981100"}, key=key)
    is_a_problem(other, 422, "idempotency-key-reused")


async def test_ten_at_once_with_one_key_are_one_command(stage):
    body = {"item_code": "YM-YDZ-BB", "region_code": "620981"}
    key = uuid.uuid4().hex
    answers = await asyncio.gather(*(stage.owner.send("POST", "/api/v1/cases", json=body, key=key) for _ in range(10)))
    assert {a.status for a in answers} <= {201, 409, 503}
    assert len({a.json["case_no"] for a in answers if a.status == 201}) == 1


# -- request ids, caching -----------------------------------------------------------------------------------------------


async def test_a_wellformed_request_id_comes_back_and_another_is_replaced(stage):
    given = "phone-of-somebody-42"
    answer = await stage.owner.send("GET", "/api/v1/me", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == given
    refused = await stage.owner.send("GET", f"/api/v1/bills/{'0' * 26}", headers={"X-Request-Id": given})
    assert refused.headers["X-Request-Id"] == refused.json["request_id"] == given
    for odd in (
        "short",
        "x" * 65,
        "57098119530412002X'; DROP",
        "57098119530412002X",
        "13900000001",
        "张桂兰张桂兰张桂兰",
    ):
        answer = await stage.owner.send("GET", f"/api/v1/bills/{'0' * 26}", headers={"X-Request-Id": odd})
        assert answer.json["request_id"] == answer.headers["X-Request-Id"] != odd


@pytest.mark.parametrize(
    "path", ["/api/v1/regions", "/api/v1/items", "/api/v1/items/YM-YDZ-BB", "/openapi.json", "/docs"]
)
async def test_the_catalogue_answers_304_to_what_a_phone_already_has(stage, path):
    first = await stage.people["anonymous"].send("GET", path)
    again = await stage.people["anonymous"].send("GET", path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"].removeprefix("W/") == first.headers["ETag"].removeprefix("W/")  # gzip makes a tag weak
    for known in ('"something-else"', 'W/"nothing", "else"'):
        assert (await stage.people["anonymous"].send("GET", path, headers={"If-None-Match": known})).status == 200
    among = f'"old", W/{first.headers["ETag"].removeprefix("W/")}'
    assert (await stage.people["anonymous"].send("GET", path, headers={"If-None-Match": among})).status == 304


async def test_a_status_read_is_304_for_its_owner_and_404_for_others_who_know_the_tag(stage):
    path = f"/api/v1/cases/{stage.objects['case_no']}"
    first = await stage.owner.send("GET", path)
    assert first.headers["Cache-Control"] == "no-cache"
    tag = {"If-None-Match": first.headers["ETag"]}
    assert (await stage.owner.send("GET", path, headers=tag)).status == 304
    assert (await stage.people["other citizen"].send("GET", path, headers=tag)).status == 404


async def test_personal_answers_are_never_stored_on_the_way(stage):
    for path in (
        "/api/v1/me",
        "/api/v1/bills",
        "/api/v1/messages",
        f"/api/v1/deliveries/{stage.objects['delivery_no']}",
    ):
        assert (await stage.owner.send("GET", path)).headers["Cache-Control"] == "no-store"
