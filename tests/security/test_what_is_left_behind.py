"""After a played story and every kind of bad input: logs, errors and the database hold nothing personal and nothing secret in clear.

Runs last in its folder by its name, so that it also reads what all other security tests left in the logs.
"""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from deploy.local.story import ITEM, REGION
from miniprogram_api.app import load_endpoints
from tests.conftest import ENGINE
from tests.security import canaries
from tests.security.canaries import Scanner, report
from tests.security.policy import POLICY
from tests.security.stage import Answer, Caller, Stage
from tests.security.wire import hang_up_after, head

ROWS = load_endpoints()
C = canaries.PLANTED
EVERYTHING = " ".join(C.values())


# -- the scanner itself -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", C)
def test_the_scanner_finds_what_was_planted(name):
    text = f'{{"event": "x", "detail": "before {C[name]} after"}}'
    assert name in {hit.what for hit in Scanner(C).scan("log", text)}
    assert name in {hit.what for hit in Scanner(C).scan_bytes("file", b"\0\1" + C[name].encode() + b"\2")}


def test_the_scanner_knows_shapes_it_has_never_seen():
    text = f"id {canaries.with_check('57098119700101004')} phone 13812345678 openid oABC_0123456789abcdefghijklm"
    assert len({hit.what for hit in Scanner({}).scan("log", text)}) == 3
    innocent = (
        "case 620981261120200000021 at 1763600000000 ms, 620981102203, request 3du3yzss6kd75ysl37rrbzcb64, 0937-3332222"
    )
    assert not list(Scanner({}).scan("log", innocent))


# -- bad input --------------------------------------------------------------------------------------------------------------


def bodies(row: Any) -> list[Any]:
    """Bodies that put personal data where they do not belong: in every field, in names of fields, beside the JSON."""
    made: list[Any] = [dict.fromkeys(C.values(), EVERYTHING), f"[{EVERYTHING}", list(C.values())]
    if row.body is not None:
        names = [field.encode_name for field in msgspec.structs.fields(row.body)]
        made += [dict.fromkeys(names, value) for value in C.values()]
        made += [{name: {EVERYTHING: [EVERYTHING]} for name in names} | {canaries.ID_NUMBER: 1}]
    return made


async def bad_requests(stage: Stage, row: Any, caller: Caller, base: str) -> list[Answer]:
    """Every way to put personal data into a request of this route."""
    known = POLICY[f"{row.method} {row.route}"]
    right = row.route.format(
        **{name: stage.objects[n] for name, n in known.objects.items()},
        **{name: value for name, value in known.fixed.items() if name not in known.objects},
    )
    wrong = [re.sub(r"\{\w+\}", value, row.route) for value in C.values()] if row.parameters else []
    query = "?" + "&".join(f"{name}={value}" for name, value in zip("abcdef", C.values(), strict=True))
    headers = {
        "X-Request-Id": canaries.PHONE, "Idempotency-Key": canaries.TOKEN, "User-Agent": canaries.ID_NUMBER,
        "If-None-Match": canaries.TOKEN, "Upload-Metadata": f"name {canaries.ID_NUMBER}", "Upload-Offset": canaries.PHONE,
        "Content-Type": f"multipart/form-data; boundary={canaries.TOKEN}", "Referer": f"http://x/?{canaries.PHONE}",
    }  # fmt: skip
    answers = [await caller.send(row.method, path + query, base=base) for path in [right, *wrong]]
    answers.append(await caller.send(row.method, right, headers=headers, data=EVERYTHING.encode(), base=base))
    if row.method != "GET":
        for body in bodies(row):
            given = {"data": body.encode()} if isinstance(body, str) else {"json": body}
            answers.append(await caller.send(row.method, right, base=base, **given))
    return answers


def is_error(answer: Answer) -> bool:
    return answer.status >= 400


@pytest.mark.parametrize("who", ["anonymous", "somebody", "courier", "agent", "a made-up token"])
async def test_no_refusal_repeats_what_was_sent(stage, who):
    """Neither the phone's screen nor a screenshot of it shows an ID number that was typed into the wrong field."""
    if "somebody" not in stage.people:
        stage.people["somebody"] = await stage.citizen("guli")
    callers = {
        "anonymous": stage.caller(),
        "somebody": stage.people["somebody"],
        "courier": stage.people["courier without the parcel"],
        "agent": stage.people["agent"],
        "a made-up token": stage.caller(canaries.TOKEN),
    }
    errors: list[tuple[str, Answer]] = []
    for row in ROWS:
        if "logout" in row.path:
            continue
        base = stage.stack.api if len(errors) % 2 else stage.stack.api_direct
        answers = await bad_requests(stage, row, callers[who], base)
        assert all(a.status < 500 for a in answers), [(a.status, a.body) for a in answers if a.status >= 500]
        errors += [(f"{row.method} {row.route} → {a.status}", a) for a in answers if is_error(a)]
    assert len(errors) > 200
    scanner = Scanner(C)
    found = [
        hit for where, answer in errors for hit in scanner.scan(where, answer.body.decode() + str(dict(answer.headers)))
    ]
    assert not found, report(found)


async def test_people_who_hang_up_are_not_written_down(stage):
    """The framework likes to log the address of a request whose sender is gone; the scan of the logs below must not find it."""
    query = "&".join(f"{letter}={quote(value)}" for letter, value in zip("abcdef", C.values(), strict=True))
    headers = {"Authorization": f"Bearer {stage.owner.token}", "User-Agent": canaries.ID_NUMBER, "Content-Length": "0"}
    paths = (
        "/api/v1/cases",
        f"/api/v1/payments/{stage.objects['payment_no']}",
        "/readyz",
        f"/api/v1/items/{canaries.PHONE}",
    )
    for turn in range(40):
        request = head("GET", f"{paths[turn % 4]}?{query}", headers)
        await hang_up_after(stage.stack.api_port, request)
        await hang_up_after(stage.nginx.port, request)
        await hang_up_after(
            stage.stack.api_port, head("POST", f"/api/v1/case-query?{query}", headers | {"Content-Length": "50"}) + b"{"
        )
    assert (await stage.owner.send("GET", "/api/v1/me")).status == 200


async def test_personal_data_may_be_typed_into_a_draft_and_is_sealed(stage):
    """The right place for it; the scan of the database below must not find it in clear."""
    form = {"note": EVERYTHING, "contact": {"name": canaries.NAME, "phone": canaries.PHONE}}
    recipient = {
        "name": canaries.NAME,
        "phone": canaries.PHONE,
        "region_code": "620981102203",
        "address": canaries.ADDRESS,
    }
    opened = await stage.owner.send("POST", "/api/v1/cases", json={"item_code": ITEM, "region_code": REGION})
    stage.objects["draft_no"] = opened.json["case_no"]
    answer = await stage.owner.send(
        "PUT",
        f"/api/v1/cases/{stage.objects['draft_no']}",
        json={"form": form, "delivery": {"way": "mail", "recipient": recipient}},
    )
    assert answer.status == 200, answer.body
    kept = (await stage.owner.send("GET", f"/api/v1/cases/{stage.objects['draft_no']}")).body.decode()
    assert canaries.ADDRESS in kept


async def test_a_reason_in_the_persons_own_words_is_sealed(stage):
    answer = await stage.owner.send(
        "POST", f"/api/v1/cases/{stage.objects['draft_no']}/withdrawal", json={"reason": EVERYTHING[:200]}
    )
    assert answer.status in (200, 409), answer.body


async def test_the_story_comes_to_its_end(stage):
    """Hand-over, receipt, window, messages: their traces are scanned too."""
    await stage.finish()
    assert (await stage.story.overview())["case"]["status"] == "granted"


# -- logs ---------------------------------------------------------------------------------------------------------------------


def logs(stage: Stage, request: pytest.FixtureRequest) -> dict[str, str]:
    """API, worker, nginx and PostgreSQL; the sandbox plays other people's systems."""
    files = [p for p in (stage.stack.folder / "logs").glob("*.log") if p.name != "sandbox.log"] + stage.nginx.logs
    found = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in files}
    if ENGINE == "postgres":
        server = request.getfixturevalue("postgres")
        found["postgresql"] = (server.folder / "log").read_text(encoding="utf-8", errors="replace")[stage.log_start :]
    return found


async def test_logs_hold_nothing_personal_and_nothing_secret(stage, request):
    scanner = Scanner(canaries.of(stage))
    texts = logs(stage, request)
    assert {"api.log", "worker.log", "zhangshangban.log"} <= set(texts)
    assert texts["api.log"].count("\n") > 100 and texts["worker.log"].strip() and texts["zhangshangban.log"].strip()
    found = [hit for name, text in texts.items() for hit in scanner.scan(name, text)]
    assert not found, report(found)


async def test_every_line_of_ours_is_structured_and_no_request_ended_in_a_bug(stage, request):
    """A line that is no JSON came past the walls; "request failed" is a 500."""
    texts = logs(stage, request)
    for name in ("api.log", "worker.log", "api-without-nginx.log"):
        lines = [json.loads(line) for line in texts[name].splitlines()]
        bugs = [line for line in lines if line["event"] == "request failed" or line["level"] == "critical"]
        assert not bugs, (name, [(bug["route"], bug["error"], bug["where"][-3:]) for bug in bugs[:5]])
        assert not [line for line in lines if "Traceback" in str(line) or "never retrieved" in str(line)]


async def test_nginx_logs_method_route_and_status_only(stage, request):
    text = logs(stage, request)["zhangshangban.log"]
    routes = {line.split(" ")[2] for line in text.splitlines()}
    assert "?" not in text
    assert routes <= {"other", "/openapi.json", "/docs", "/healthz", "/readyz", "/verify/*"} | {
        r for r in routes if re.fullmatch(r"/api/v1(/[a-z-]+|/\*)+/?", r)
    }
    assert {"/api/v1/cases/*/submission", "/api/v1/courier/parcels/*/pickup", "/api/v1/me/*/"} <= routes


# -- the database ---------------------------------------------------------------------------------------------------------------


def dump(stage: Stage, request: pytest.FixtureRequest) -> dict[str, str]:
    """Every text and blob column of every table, joined per column."""
    if ENGINE == "sqlite":
        with sqlite3.connect(stage.stack.database_url.removeprefix("sqlite://")) as base:
            tables = [r[0] for r in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            columns = [(t, r[1]) for t in tables for r in base.execute(f'PRAGMA table_info("{t}")')]
            found = {
                f"{t}.{c}": "\n".join(
                    v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v)
                    for (v,) in base.execute(f'SELECT "{c}" FROM "{t}" WHERE "{c}" IS NOT NULL')
                )
                for t, c in columns
            }
        base.close()
        return found
    server = request.getfixturevalue("postgres")
    listing = server.sql(
        "stage",
        "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'",
    ).stdout.split()
    return {
        name: server.sql(
            "stage", 'SELECT "{1}"::text FROM "{0}" WHERE "{1}" IS NOT NULL'.format(*name.split("."))
        ).stdout
        for name in listing
    }


async def test_the_database_holds_no_person_and_no_secret_in_clear(stage, request):
    """Sealed, hashed or masked, whatever the column is called."""
    known = canaries.of(stage)
    columns = dump(stage, request)
    assert len(columns) > 300 and sum(map(len, columns.values())) > 100_000
    ours, published = Scanner(known), Scanner(canaries.unpublished(known))
    found = [
        hit
        for name, text in columns.items()
        for hit in (published if name.startswith("catalog_") else ours).scan(name, text, shapes=not _public(name))
    ]
    assert not found, report(found)


def _public(column: str) -> bool:
    """Catalogue texts are published, telephone numbers of offices and hashes included."""
    return column.startswith("catalog_") or column.endswith(("_hash", "hash", "_index"))


async def test_masks_hide_what_they_stand_for(stage, request):
    columns = dump(stage, request)
    assert "张" in columns["identity_account.name_mask"] and "张桂兰" not in columns["identity_account.name_mask"]
    assert all("*" in line for line in columns["identity_account.phone_mask"].split())
    assert all("*" in line for line in columns["identity_account.id_mask"].split())


async def test_the_files_of_the_database_hold_no_person_in_clear_either(stage, request):
    """Freed pages and the write-ahead log still hold what was there before it was sealed."""
    if ENGINE == "sqlite":
        path = Path(stage.stack.database_url.removeprefix("sqlite://"))
        files = list(path.parent.glob(path.name + "*"))
    else:
        server = request.getfixturevalue("postgres")
        server.sql("stage", "CHECKPOINT")
        number = server.sql("stage", "SELECT oid FROM pg_database WHERE datname = 'stage'").stdout.strip()
        files = [p for p in (server.folder / "data" / "base" / number).iterdir() if p.is_file()]
    scanner = Scanner(canaries.unpublished(canaries.of(stage)))
    found = [hit for path in files for hit in scanner.scan_bytes(path.name, path.read_bytes())]
    assert not found, report(found)
