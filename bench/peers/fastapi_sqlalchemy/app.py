"""A peer: the same answers and the same rows with FastAPI and SQLAlchemy's ORM, written the way their manuals show it."""
# ruff: noqa: B008 - Depends() in a default is how FastAPI is written

import hashlib
import json
import os
import secrets
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone

import notices
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.ext.automap import automap_base

SHANGHAI = timezone(timedelta(hours=8))
LABELS = {"DRAFT": ("draft", "草稿", False), "SUBMITTED": ("submitted", "已提交，等待受理", False),
          "PROCESSING": ("processing", "办理中", False), "GRANTED": ("granted", "已办结：准予", True)}  # fmt: skip
engine = create_async_engine(os.environ["PEER_DATABASE_URL"], pool_size=16, max_overflow=0)
Sessions = async_sessionmaker(engine, expire_on_commit=False)
T: dict = {}


@asynccontextmanager
async def lifespan(_):
    base = automap_base()
    async with engine.begin() as connection:
        await connection.run_sync(lambda c: base.prepare(autoload_with=c))
    T.update(base.classes.items())
    yield


app = FastAPI(lifespan=lifespan)


async def database():
    async with Sessions() as session:
        yield session


async def actor(db: AsyncSession = Depends(database), authorization: str = Header("")) -> str:
    session, account, now = T["identity_session"], T["identity_account"], datetime.now(UTC)
    digest = hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest()
    ref = await db.scalar(select(account.ref).join(session, session.account_id == account.id).where(
        session.access_hash == digest, session.revoked_at.is_(None), session.idle_until > now, session.absolute_until > now))  # fmt: skip
    if ref is None:
        raise HTTPException(401)
    return ref


def view(case) -> dict:
    status, label, finished = LABELS[case.state]

    def at(value):
        return value.astimezone(SHANGHAI).isoformat(timespec="seconds") if value else None

    return {"case_no": case.case_no, "item_code": case.item_code, "item_name": case.item_name,
            "department_name": case.department_name, "status": status, "status_label": label, "finished": finished,
            "version": case.seq, "submitted_at": at(case.submitted_at), "changed_at": at(case.changed_at),
            "promise_on": case.promise_on}  # fmt: skip


@app.get("/api/v1/cases/{case_no}/status")
async def status(case_no: str, who: str = Depends(actor), db: AsyncSession = Depends(database)):
    case = T["cases_case"]
    row = await db.scalar(select(case).where(case.case_no == case_no, case.account_ref == who))
    if row is None:
        raise HTTPException(404)
    return view(row)


@app.get("/api/v1/cases")
async def cases(who: str = Depends(actor), db: AsyncSession = Depends(database)):
    case = T["cases_case"]
    rows = (await db.scalars(select(case).where(case.account_ref == who).order_by(case.id.desc()).limit(21))).all()
    cursor = secrets.token_urlsafe(8) if len(rows) > 20 else None
    return {"items": [view(row) for row in rows[:20]], "next_cursor": cursor}


@app.get("/api/v1/items/{item_code}")
async def guide(item_code: str, db: AsyncSession = Depends(database)):
    item, version = T["catalog_item"], T["catalog_item_version"]
    body = await db.scalar(select(version.body).join(item, version.item_id == item.id).where(item.item_code == item_code)
                           .order_by(version.version.desc()).limit(1))  # fmt: skip
    if body is None:
        raise HTTPException(404)
    return json.loads(body)


@app.post("/api/v1/callbacks/wechat-pay", status_code=204)
async def notice(request: Request, db: AsyncSession = Depends(database)):
    raw = await request.body()
    event_id, said = notices.opened(request, raw)
    await notices.settle(db, T, event_id, said, raw)
    return Response(status_code=204)


@app.post("/api/v1/cases/{case_no}/submission", status_code=201)
async def submit(
    case_no: str,
    request: Request,
    idempotency_key: str = Header(),
    who: str = Depends(actor),
    db: AsyncSession = Depends(database),
):
    raw = await request.body()
    body, now = json.loads(raw), datetime.now(UTC)
    ms, digest = int(now.timestamp() * 1000), hashlib.sha256(raw).hexdigest()
    scope, key = f"peer:{who}", hashlib.sha256(idempotency_key.encode()).hexdigest()
    await db.rollback()
    async with db.begin():
        idem = T["kernel_idempotency"]
        new = (
            insert(idem)
            .values(scope=scope, key=key, request_hash=digest, created_ms=ms)
            .on_conflict_do_nothing()
            .returning(idem.id)
        )
        if await db.scalar(new) is None:
            known = await db.scalar(select(idem).where(idem.scope == scope, idem.key == key))
            if known.request_hash != digest:
                raise HTTPException(422)
            return JSONResponse(json.loads(known.answer), 201)
        case_, material, event, parcel, outbox = (
            T[n] for n in ("cases_case", "cases_material", "cases_event", "delivery_parcel", "kernel_outbox")
        )
        case = await db.scalar(
            select(case_).where(case_.case_no == case_no, case_.account_ref == who).with_for_update(key_share=True)
        )
        if case is None:
            raise HTTPException(404)
        if case.state != "DRAFT":
            raise HTTPException(409)
        refs = [ref for choice in body["materials"] for ref in choice["material_ids"]]
        files = {
            m.ref: m
            for m in await db.scalars(
                select(material)
                .where(material.account_ref == who, material.ref.in_(refs))
                .with_for_update(key_share=True)
            )
        }
        if len(files) != len(refs) or any(m.state != "clean" for m in files.values()):
            raise HTTPException(422)
        account = await db.scalar(select(T["identity_account"]).where(T["identity_account"].ref == who))
        case.state, case.seq, case.data_version, case.ready_version = "SUBMITTED", case.seq + 1, 1, 1
        case.form_sealed, case.applicant_sealed = json.dumps(body["form"]) * 3, account.name_sealed * 3
        case.delivery_way, case.delivery_sealed = "pickup", "pickup"
        case.submitted_at = case.changed_at = now
        case.query_password_hash = secrets.token_hex(32)
        for choice in body["materials"]:
            for position, ref in enumerate(choice["material_ids"]):
                db.add(
                    T["cases_attachment"](
                        created_at=now,
                        case_id=case.id,
                        material_id=files[ref].id,
                        code=choice["code"],
                        position=position,
                        since_version=1,
                    )
                )
        db.add(
            event(
                created_at=now,
                case_id=case.id,
                seq=case.seq,
                kind="submit",
                from_state="DRAFT",
                to_state="SUBMITTED",
                by="applicant",
                at=now,
                facts={},
            )
        )
        db.add(
            parcel(
                created_at=now,
                delivery_no=secrets.token_hex(13),
                case_no=case_no,
                owner_ref=who,
                way="pickup",
                kind="DOCUMENT_OUT",
                carrier="window",
                amount_fen=0,
                state="QUOTED",
                state_at=now,
                seq=0,
                mark_stage=0,
                mark_at=now,
                mark_rank=0,
                attempts=0,
                carrier_attempts=0,
                courier_attempts=0,
                order_round=0,
                code_generation=0,
                code_tries=0,
                id_tries=0,
            )
        )
        for topic in ("case.status_changed", "case.submitted", "case.ready"):
            db.add(
                outbox(
                    topic=topic,
                    key=f"{topic}:{case_no}:1",
                    lane=f"case:{case_no}",
                    payload={"case_no": case_no},
                    state=0,
                    run_at=ms,
                    attempts=0,
                    crashes=0,
                    created_ms=ms,
                )
            )
        answer = {"case_no": case_no, "status": "submitted", "status_label": LABELS["SUBMITTED"][1], "query_password": f"{secrets.randbelow(10**6):06d}",
                  "bill_nos": [], "outstanding": False, "deferred_codes": []}  # fmt: skip
        await db.execute(
            T["kernel_idempotency"]
            .__table__.update()
            .where(idem.scope == scope, idem.key == key)
            .values(answer=json.dumps(answer))
        )
    return JSONResponse(answer, 201)
