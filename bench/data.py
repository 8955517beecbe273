"""The stored county: people with sessions, their cases under real seals, and drafts that only wait to be submitted.

Rows go in by COPY and by SQL over the product's own migrations; what is sealed is sealed by the product's own code.
"""

import hashlib
import json
import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from kernel import clock, crypto, ids
from kernel.masks import mask_id_number, mask_name, mask_phone

ITEM, COUNTY, MATERIALS = "YM-JZZ-SL", "620981000000", ("IDCARD", "LIVE", "PHOTO")
FORM = {
    "lives_at": "玉门市新市区幸福路8号2单元101室",
    "since_on": "2026-01-05",
    "ground": "住所",
    "contact_mobile": "13900000001",
}
NAME, ID_NUMBER, PHONE = "王秀兰", "570101198504123020", "13900000001"
PER_PERSON = 20
DRAFT_BASE = 50_000_000
_HEAD = "6209812601012"


def case_no(number: int) -> str:
    """A case number of the right shape that SQL can also build: pgbench needs the same ones."""
    return f"{_HEAD}{number:08d}"


@dataclass
class Person:
    """One citizen of the benchmark with a live session."""

    ref: str
    token: str
    materials: tuple[str, ...]
    account_id: int = 0
    material_ids: tuple[int, ...] = ()


@dataclass
class County:
    """What was stored, for those who make requests and those who check rows."""

    people: list[Person]
    stored: int
    version_id: int
    drafts: int = 0
    kept: int = 0
    pool: list[int] = field(default_factory=list)

    def owner(self, number: int) -> Person:
        """Whose case a number is; stored cases and drafts are dealt out in turn."""
        return self.people[number % len(self.people)]

    def take(self, count: int) -> list[int]:
        """Drafts nobody has used yet."""
        taken, self.pool = self.pool[:count], self.pool[count:]
        if len(taken) < count:
            raise RuntimeError("not enough drafts were prepared")
        return taken

    def reserve(self, count: int) -> int:
        """The first of `count` neighbouring drafts kept back for pgbench, which counts upwards."""
        first, self.kept = self.kept, self.kept + count
        return first

    def submission(self, number: int) -> bytes:
        """The body of POST /cases/{case_no}/submission for a draft."""
        who = self.owner(number)
        body = {
            "form": FORM,
            "materials": [{"code": c, "material_ids": [m]} for c, m in zip(MATERIALS, who.materials, strict=True)],
            "delivery": {"way": "pickup"},
        }
        return json.dumps(body, ensure_ascii=False).encode()


async def fill(connection: asyncpg.Connection, *, people: int, drafts: int) -> County:
    """Stores `people` × 20 cases and `drafts` drafts. The keys of the product must be configured."""
    item = await connection.fetchrow(
        "SELECT v.id, v.name, v.department_code, v.body::jsonb->'department'->>'name' AS department FROM catalog_item i "
        "JOIN catalog_item_version v ON v.item_id = i.id WHERE i.item_code = $1 ORDER BY v.version DESC LIMIT 1", ITEM
    )  # fmt: skip
    now = clock.now()
    county = County(await _people(connection, people, now), people * PER_PERSON, item["id"])
    numbers = range(people * PER_PERSON)
    await _cases(connection, county, item, [(n, False) for n in numbers], now)
    first = DRAFT_BASE
    county.kept = first + drafts // 2
    county.pool = list(range(first, county.kept))
    random.Random(7).shuffle(county.pool)
    await _cases(connection, county, item, [(n, True) for n in range(first, first + drafts)], now)
    await _details(connection, now)
    await connection.execute("VACUUM ANALYZE")
    county.drafts = drafts
    return county


async def _people(connection: asyncpg.Connection, count: int, now: datetime) -> list[Person]:
    people, accounts, sessions, materials = [], [], [], []
    account = await _next(connection, "identity_account")
    material = await _next(connection, "cases_material")
    for n in range(count):
        ref = ids.public_id()
        person = Person(ref, crypto.new_token(), tuple(ids.public_id() for _ in MATERIALS), account + n)
        person.material_ids = tuple(material + n * 3 + k for k in range(3))
        people.append(person)
        accounts.append((
            person.account_id, now, ref, crypto.blind_index(ref, purpose="identity_account.openid"), _seal("name", ref, NAME),
            mask_name(NAME), "citizen", _seal("id", ref, ID_NUMBER), mask_id_number(ID_NUMBER), _seal("phone", ref, PHONE),
            mask_phone(PHONE), 2,
        ))  # fmt: skip
        sessions.append((
            now, "citizen", crypto.token_hash(person.token), crypto.token_hash(crypto.new_token()), now + timedelta(hours=6),
            now + timedelta(days=7), now, person.account_id,
        ))  # fmt: skip
        for row_id, mref in zip(person.material_ids, person.materials, strict=True):
            digest = hashlib.sha256(mref.encode()).hexdigest()
            materials.append((
                row_id, now, mref, ref, "clean", digest, 240_000, "image/jpeg", 1200, 1600, digest, 238_000,
                f"material/{mref}", f"thumbnail/{mref}", now,
            ))  # fmt: skip
    await _copy(connection, "identity_account", accounts,
        "id created_at ref openid_index name_sealed name_mask id_type id_sealed id_mask phone_sealed phone_mask assurance_level")  # fmt: skip
    await _copy(connection, "identity_session", sessions,
        "created_at role access_hash refresh_hash idle_until absolute_until last_used_at account_id")  # fmt: skip
    await _copy(connection, "cases_material", materials,
        "id created_at ref account_ref state sha256 bytes mime width height stored_sha256 stored_bytes storage_key thumbnail_key seen_at")  # fmt: skip
    return people


async def _cases(
    connection: asyncpg.Connection, county: County, item: Any, numbers: list[tuple[int, bool]], now: datetime
) -> None:
    form, applicant = json.dumps(FORM).encode(), json.dumps(
        {"name": NAME, "id_type": "citizen", "id_number": ID_NUMBER, "phone": PHONE}).encode()  # fmt: skip
    first = await _next(connection, "cases_case")
    rows = []
    for offset, (number, draft) in enumerate(numbers):
        no, who = case_no(number), county.owner(number)
        state = "DRAFT" if draft else ("GRANTED" if number % 3 else "PROCESSING")
        sealed = (None, None) if draft else (
            crypto.seal(form, context=f"cases_case.form:{no}"), crypto.seal(applicant, context=f"cases_case.applicant:{no}"))  # fmt: skip
        at = None if draft else now
        rows.append((
            first + offset, now, no, who.ref, ITEM, item["id"], item["name"], COUNTY, item["department"], "promised", state,
            0 if draft else 3, 0 if draft else 1, 0 if draft else 1, at, at, at, *sealed, mask_name(NAME),
            mask_id_number(ID_NUMBER), mask_phone(PHONE), None if draft else "pickup", "[]", 0, 0, False, now,
        ))  # fmt: skip
    await _copy(connection, "cases_case", rows,
        "id created_at case_no account_ref item_code item_version_id item_name region_code department_name project_type state "
        "seq data_version ready_version submitted_at accepted_at started_at form_sealed applicant_sealed applicant_name_mask "
        "applicant_id_mask applicant_phone_mask delivery_way deferred_codes query_failures correction_count deliver changed_at")  # fmt: skip


async def _details(connection: asyncpg.Connection, now: datetime) -> None:
    """Events, attachments, parcels and acknowledged forwardings of the stored cases; drafts have none."""
    stored = "FROM cases_case c WHERE c.state <> 'DRAFT'"
    for seq, kind, before, after in (
        (1, "submit", "DRAFT", "SUBMITTED"),
        (2, "accept", "SUBMITTED", "ACCEPTED"),
        (3, "start", "ACCEPTED", "PROCESSING"),
    ):
        await connection.execute(
            f"INSERT INTO cases_event (created_at, seq, kind, from_state, to_state, \"by\", at, facts, case_id) "
            f"SELECT $1, {seq}, '{kind}', '{before}', '{after}', 'platform', $1, '{{}}', c.id {stored}", now
        )  # fmt: skip
    await connection.execute(
        "INSERT INTO cases_attachment (created_at, code, position, since_version, case_id, material_id) "
        "SELECT $1, (ARRAY['IDCARD','LIVE','PHOTO'])[1 + row_number() OVER (PARTITION BY c.id) - 1], 0, 1, c.id, m.id "
        "FROM cases_case c JOIN cases_material m ON m.account_ref = c.account_ref WHERE c.state <> 'DRAFT'", now
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO delivery_parcel (created_at, delivery_no, case_no, owner_ref, way, kind, carrier, amount_fen, state, "
        "state_at, seq, mark_stage, mark_at, mark_rank, attempts, carrier_attempts, courier_attempts, order_round, "
        "code_generation, code_tries, id_tries) SELECT $1, upper(substr(md5(c.case_no), 1, 26)), c.case_no, c.account_ref, "
        f"'pickup', 'DOCUMENT_OUT', 'window', 0, 'QUOTED', $1, 0, 0, $1, 0, 0, 0, 0, 0, 0, 0, 0 {stored}", now
    )  # fmt: skip
    await connection.execute(
        "INSERT INTO onewindow_forwarding (created_at, ref, case_no, verb, subject, data_version, wire_version, state, "
        "body_sha256, attempts, revived, started_at, settled_at, code, note) SELECT $1, lower(substr(md5('f' || c.case_no), 1, 26)), "
        f"c.case_no, 'apply.push', '1', 1, 1, 'acknowledged', '', 1, 0, $1, $1, '', '' {stored}", now
    )  # fmt: skip


def _seal(column: str, ref: str, value: str) -> str:
    return crypto.seal(value, context=f"identity_account.{column}:{ref}")


async def _next(connection: asyncpg.Connection, table: str) -> int:
    return int(await connection.fetchval(f"SELECT coalesce(max(id), 0) + 1 FROM {table}"))


async def _copy(connection: asyncpg.Connection, table: str, rows: list[tuple[Any, ...]], columns: str) -> None:
    names = columns.split()
    await connection.copy_records_to_table(table, records=rows, columns=names)
    if "id" in names:
        await connection.execute(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))")
