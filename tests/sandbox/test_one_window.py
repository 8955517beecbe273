"""The one-window sandbox over HTTP: a caller that errs is told so, one that repeats is not punished."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sandbox.one_window import OneWindow, build
from sandbox.one_window_wire import signed_headers
from sandbox.serving import serving
from tests.sandbox.one_window_samples import ITEM, case_body

JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 20


class Channel:
    """A caller that keeps the contract, with doors for breaking it on purpose."""

    def __init__(self, partner: OneWindow, http: aiohttp.ClientSession) -> None:
        self.partner = partner
        self.http = http

    async def raw(self, verb: str, body: bytes, **changes: str) -> tuple[int, bytes, dict[str, str]]:
        headers = signed_headers(
            profile=self.partner.config["profile"],
            who=self.partner.channel,
            verb=verb,
            body=body,
            now_ms=self.partner.now_ms(),
        )
        headers.update(changes)
        url = f"{self.partner.url}/sysapi/ycsl/v1/{verb}"
        async with self.http.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.read(), dict(answer.headers)

    async def call(self, verb: str, data: dict[str, Any], **changes: str) -> dict[str, Any]:
        status, body, _ = await self.raw(verb, json.dumps(data).encode(), **changes)
        assert status == 200, body
        answer: dict[str, Any] = json.loads(body)
        assert set(answer) == {"code", "message", "data", "requestId"}
        return answer

    async def upload(self, number: str, content: bytes = JPEG, **fields: str) -> dict[str, Any]:
        values = {
            "projectNo": number,
            "materialId": "PHOTO",
            "name": "photo.jpg",
            "mime": "image/jpeg",
            "sha256": hashlib.sha256(content).hexdigest(),
            **fields,
        }
        parts = [
            f'--xyz\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in values.items()
        ]
        head = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        body = b"".join(parts) + head + content + b"\r\n--xyz--\r\n"
        kind = {"content-type": "multipart/form-data; boundary=xyz"}
        status, answer, _ = await self.raw("attach.put", body, **kind)
        assert status == 200
        found: dict[str, Any] = json.loads(answer)
        return found

    async def control(self, path: str, wish: dict[str, Any] | None = None) -> Any:
        async with self.http.post(f"{self.partner.url}/_control{path}", json=wish or {}) as answer:
            return answer.status, await answer.json()

    async def new_case(self, ref: str = "c1") -> str:
        wish = {"taskCode": ITEM["taskCode"], "areaCode": "620981000000", "clientRef": ref}
        answer = await self.call("serial.new", wish)
        number: str = answer["data"]["projectNo"]
        return number

    async def submitted(self, ref: str = "c1") -> str:
        number = await self.new_case(ref)
        attach = await self.upload(number)
        answer = await self.call("case.push", case_body(number, attach_ids=[attach["data"]["attachId"]]))
        assert answer["code"] == 200, answer
        return number


class Product:
    """Listens where the product would, and acknowledges what it is told to acknowledge."""

    def __init__(self) -> None:
        self.pushed: list[list[dict[str, Any]]] = []
        self.headers: list[dict[str, str]] = []
        self.answering = True
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        events = (await request.json())["events"]
        self.pushed.append(events)
        self.headers.append({key.lower(): value for key, value in request.headers.items()})
        acked = [{"projectNo": e["projectNo"], "seq": e["seq"]} for e in events] if self.answering else []
        return web.json_response({"code": 200, "message": "ok", "data": {"acked": acked}, "requestId": "1"})

    def kinds(self) -> list[str]:
        return [event["type"] for events in self.pushed for event in events]


@pytest.fixture
async def product() -> AsyncIterator[Product]:
    listener = Product()
    app = web.Application()
    app.router.add_post("/api/v1/callbacks/one-window/event.push", listener.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield listener
    await runner.cleanup()


@pytest.fixture
async def channel(tmp_path: Path, product: Product) -> AsyncIterator[Channel]:
    async with serving(build, tmp_path, product_url=product.url) as partner, aiohttp.ClientSession() as http:
        found = Channel(partner, http)
        await found.control("/tasks", {"items": [ITEM]})
        yield found


async def test_the_same_reference_always_gets_the_same_number(channel: Channel) -> None:
    assert await channel.new_case("c1") == await channel.new_case("c1")
    assert await channel.new_case("c1") != await channel.new_case("c2")


async def test_an_item_nobody_taught_is_unknown_and_another_county_has_no_permission(channel: Channel) -> None:
    wish = {"taskCode": "unknown", "areaCode": "620981000000", "clientRef": "x"}
    assert (await channel.call("serial.new", wish))["code"] == 304
    assert (await channel.call("task.get", {"taskCode": "unknown"}))["code"] == 304
    assert (await channel.call("task.get", {"taskCode": ITEM["taskCode"]}))["data"]["taskName"] == ITEM["taskName"]
    wish = {"taskCode": ITEM["taskCode"], "areaCode": "620902000000", "clientRef": "x"}
    assert (await channel.call("serial.new", wish))["code"] == 302


@pytest.mark.parametrize(
    "changes",
    [
        {"gjzwfwpt_rid": "somebody"},
        {"gjzwfwpt_sid": "ycsl.case.push"},
        {"gjzwfwpt_rtime": "1700000000000"},
        {"gjzwfwpt_sign": base64.b64encode(b"0" * 32).decode()},
        {"x-ycsl-nonce": "short"},
        {"x-ycsl-digest": "0" * 64},
    ],
)
async def test_a_wrong_header_is_301(channel: Channel, changes: dict[str, str]) -> None:
    assert (await channel.call("task.get", {"taskCode": ITEM["taskCode"]}, **changes))["code"] == 301


async def test_a_nonce_is_good_once(channel: Channel) -> None:
    body = json.dumps({"taskCode": ITEM["taskCode"]}).encode()
    headers = signed_headers(
        profile="ref", who=channel.partner.channel, verb="task.get", body=body, now_ms=channel.partner.now_ms()
    )
    codes = []
    for _ in range(2):
        _, answer, _ = await channel.raw("task.get", body, **headers)
        codes.append(json.loads(answer)["code"])
    assert codes == [200, 301]


async def test_attachments_are_checked_and_remembered_by_content(channel: Channel) -> None:
    number = await channel.new_case()
    first, again = await channel.upload(number), await channel.upload(number, name="other.jpg")
    assert first["data"]["attachId"] == again["data"]["attachId"]
    assert again["data"]["duplicate"] is True
    assert (await channel.upload(number, sha256="0" * 64))["code"] == 300
    assert (await channel.upload(number, b"GIF89a" * 9))["code"] == 300
    assert (await channel.upload("nowhere"))["code"] == 300
    status, content, headers = await channel.raw(
        "attach.get", json.dumps({"attachId": first["data"]["attachId"]}).encode()
    )
    assert (status, content) == (200, JPEG)
    assert headers["x-ycsl-digest"] == hashlib.sha256(JPEG).hexdigest()


async def test_the_same_bytes_repeat_other_bytes_of_the_version_are_stale(channel: Channel) -> None:
    number = await channel.submitted()
    attach_id = (await channel.upload(number))["data"]["attachId"]
    body = case_body(number, attach_ids=[attach_id])
    again = await channel.call("case.push", body)
    assert again["data"] == {"projectNo": number, "dataVersion": 1, "state": "SUBMITTED", "duplicate": True}
    body["base"]["projectName"] = "changed"
    changed = await channel.call("case.push", body)
    assert (changed["code"], changed["data"]) == (303, {"currentVersion": 1})
    gap = await channel.call("case.push", case_body(number, attach_ids=[attach_id], version=3, operation="U"))
    assert gap["code"] == 303
    update = await channel.call("case.push", case_body(number, attach_ids=[attach_id], version=2, operation="U"))
    assert update["data"]["dataVersion"] == 2


async def test_a_refused_push_leaves_no_trace(channel: Channel) -> None:
    number = await channel.new_case()
    refused = await channel.call("case.push", case_body(number, attach_ids=["nowhere"]))
    assert (refused["code"], refused["data"]["missing"][0]["attachId"]) == (305, "nowhere")
    attach_id = (await channel.upload(number))["data"]["attachId"]
    assert (await channel.call("case.push", case_body(number, attach_ids=[attach_id])))["code"] == 200


async def test_an_obsolete_item_version_is_304(channel: Channel) -> None:
    number = await channel.new_case()
    await channel.control("/tasks", {**ITEM, "taskVersion": "2"})
    attach_id = (await channel.upload(number))["data"]["attachId"]
    answer = await channel.call("case.push", case_body(number, attach_ids=[attach_id]))
    assert (answer["code"], answer["data"]) == (304, {"currentVersion": "2"})


async def test_a_correction_is_answered_completely_or_not_at_all(channel: Channel, product: Product) -> None:
    number = await channel.submitted()
    await channel.control(f"/cases/{number}/receive")
    await channel.control(f"/cases/{number}/correction")
    wish: dict[str, Any] = {"projectNo": number, "dataVersion": 2, "correctionNo": 1, "materials": []}
    assert (await channel.call("case.supplement", wish))["code"] == 305
    attach_id = (await channel.upload(number, JPEG + b"2"))["data"]["attachId"]
    wish["materials"] = [
        {"materialId": "PHOTO", "materialName": "照片", "getType": "electronic", "attachIds": [attach_id]}
    ]
    assert (await channel.call("case.supplement", {**wish, "correctionNo": 9}))["code"] == 300
    assert (await channel.call("case.supplement", wish))["data"]["state"] == "SUPPLEMENTED"
    assert (await channel.call("case.supplement", wish))["data"]["duplicate"] is True
    await channel.partner.callbacks.settle()
    assert product.kinds() == ["RECEIVED", "CORRECTION"]


async def test_a_withdrawal_reaches_its_goal_once_and_never_after_the_decision(channel: Channel) -> None:
    number = await channel.submitted()
    wish = {"projectNo": number, "dataVersion": 2, "reason": "不办了"}
    assert (await channel.call("case.withdraw", wish))["data"]["state"] == "WITHDRAWN"
    again = await channel.call("case.withdraw", {**wish, "dataVersion": 3})
    assert (again["code"], again["data"]) == (306, {"state": "WITHDRAWN"})

    number = await channel.submitted("c2")
    for action in ("receive", "accept", "decide"):
        assert (await channel.control(f"/cases/{number}/{action}"))[0] == 200
    late = await channel.call("case.withdraw", {**wish, "projectNo": number})
    assert (late["code"], late["data"]) == (306, {"state": "FINISHED"})


async def test_the_parcel_is_told_after_the_decision_only(channel: Channel) -> None:
    number = await channel.submitted()
    event = {"canonical": "PICKED_UP", "at": "2026-11-20 12:00:00", "place": "玉门", "text": "已揽收"}
    wish: dict[str, Any] = {
        "projectNo": number,
        "direction": "OUT",
        "carrier": "EMS",
        "waybillNo": "1",
        "events": [event],
    }
    assert (await channel.call("delivery.push", wish))["code"] == 306
    for action in ("receive", "accept", "decide"):
        await channel.control(f"/cases/{number}/{action}")
    assert (await channel.call("delivery.push", wish))["data"]["state"] == "DELIVERING"
    assert (await channel.call("delivery.push", wish))["data"]["duplicate"] is True
    wish["events"] = [{**event, "canonical": "DELIVERED"}]
    assert (await channel.call("delivery.push", wish))["data"]["state"] == "DELIVERED"


async def test_the_clerk_cannot_break_the_state_machine(channel: Channel) -> None:
    number = await channel.submitted()
    assert (await channel.control(f"/cases/{number}/decide"))[0] == 409
    assert (await channel.control(f"/cases/{number}/dance"))[0] == 404
    assert (await channel.control("/cases/none/receive"))[0] == 404


async def test_events_are_signed_numbered_and_repeated_until_acknowledged(channel: Channel, product: Product) -> None:
    product.answering = False
    number = await channel.submitted()
    await channel.control(f"/cases/{number}/receive")
    for _ in range(200):
        if len(product.pushed) >= 2:
            break
        await asyncio.sleep(0.02)
    first, second = product.pushed[0][0], product.pushed[1][0]
    assert first == second
    assert (first["type"], first["seq"]) == ("RECEIVED", 1)
    assert product.headers[0]["x-ycsl-nonce"] != product.headers[1]["x-ycsl-nonce"]
    await channel.call("event.ack", {"items": [{"projectNo": number, "seq": 1}]})
    pulled = await channel.call("event.pull", {"cursor": "", "limit": 100})
    assert [event["seq"] for event in pulled["data"]["events"]] == [1]
    assert pulled["data"]["more"] is False
    later = await channel.call("event.pull", {"cursor": pulled["data"]["nextCursor"], "limit": 1})
    assert later["data"]["events"] == []


async def test_switches_make_copies_and_gaps(channel: Channel, product: Product) -> None:
    number = await channel.submitted()
    await channel.control("/config", {"event_copies": 1, "event_gap": 1})
    await channel.control(f"/cases/{number}/receive")
    await channel.control(f"/cases/{number}/accept")
    await channel.partner.callbacks.settle()
    assert product.kinds() == ["ACCEPTED", "ACCEPTED"]
    pulled = await channel.call("event.pull", {"limit": 100})
    assert [event["type"] for event in pulled["data"]["events"]] == ["RECEIVED", "ACCEPTED"]


async def test_held_events_can_be_flushed_backwards_in_one_message(channel: Channel, product: Product) -> None:
    number = await channel.submitted()
    await channel.control("/config", {"event_hold": True})
    for action in ("receive", "accept", "step"):
        await channel.control(f"/cases/{number}/{action}")
    assert product.pushed == []
    await channel.control("/events/flush", {"order": "desc", "together": True})
    await channel.partner.callbacks.settle()
    assert [[event["seq"] for event in batch] for batch in product.pushed] == [[3, 2, 1]]


async def test_the_clerk_who_works_alone_waits_for_the_supplement(channel: Channel, product: Product) -> None:
    await channel.control("/script", {"name": "correction", "delay_s": 0.01})
    await channel.control("/config", {"time_scale": 0.02})
    number = await channel.submitted()
    await _until(lambda: "CORRECTION" in product.kinds())
    attach_id = (await channel.upload(number, JPEG + b"2"))["data"]["attachId"]
    material = {"materialId": "PHOTO", "materialName": "照片", "getType": "electronic", "attachIds": [attach_id]}
    answer = await channel.call(
        "case.supplement", {"projectNo": number, "dataVersion": 2, "correctionNo": 1, "materials": [material]}
    )
    assert answer["code"] == 200
    await _until(lambda: "RESULT_FILE" in product.kinds())
    assert sorted(set(product.kinds())) == sorted(
        ["RECEIVED", "CORRECTION", "ACCEPTED", "STEP", "RESULT", "RESULT_FILE"]
    )
    issued = next(e for batch in product.pushed for e in batch if e["type"] == "RESULT_FILE")["payload"]
    _, content, _ = await channel.raw("attach.get", json.dumps({"attachId": issued["attachId"]}).encode())
    assert content.startswith(b"%PDF-")


async def test_wild_days(channel: Channel) -> None:
    number = await channel.submitted()
    await channel.control("/faults", {"match": {"call": "case.withdraw"}, "effect": {"html200": True}})
    body = json.dumps({"projectNo": number, "dataVersion": 2, "reason": "不办了"}).encode()
    status, _, headers = await channel.raw("case.withdraw", body)
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/html")
    reply = {"code": 300, "message": "当前业务已办结"}
    await channel.control("/faults", {"match": {"call": "case.withdraw"}, "effect": {"reply": reply}})
    assert (await channel.call("case.withdraw", json.loads(body)))["message"] == "当前业务已办结"
    await channel.control("/faults", {"match": {"call": "case.withdraw"}, "effect": {"code": 429}})
    assert (await channel.call("case.withdraw", json.loads(body)))["data"] == {"retryAfter": 1}
    await channel.control("/faults", {"match": {"call": "case.withdraw"}, "effect": {"drop": "after"}})
    with pytest.raises(aiohttp.ClientError):
        await channel.raw("case.withdraw", body)
    assert (await channel.call("case.withdraw", json.loads(body)))["data"]["duplicate"] is True


async def test_the_national_profile_writes_lower_case_keys_both_ways(channel: Channel) -> None:
    await channel.control("/config", {"profile": "gjzwfwpt"})
    wish = {"taskCode": ITEM["taskCode"]}
    assert (await channel.call("task.get", wish))["code"] == 300
    answer = await channel.call("task.get", {"taskcode": ITEM["taskCode"]})
    assert answer["data"]["taskname"] == ITEM["taskName"]


async def test_a_restart_forgets_neither_cases_nor_unacknowledged_events(tmp_path: Path, product: Product) -> None:
    product.answering = False
    async with serving(build, tmp_path, product_url=product.url) as partner, aiohttp.ClientSession() as http:
        channel = Channel(partner, http)
        await channel.control("/tasks", {"items": [ITEM]})
        number = await channel.submitted()
        await channel.control(f"/cases/{number}/receive")
    product.answering = True
    async with serving(build, tmp_path, product_url=product.url) as partner:
        assert partner.store.all("case")[0]["state"] == "RECEIVED"
        await _until(lambda: partner.store.all("event")[0]["acked"])


async def _until(condition: Any) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("did not happen in time")
