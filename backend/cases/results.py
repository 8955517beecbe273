"""Results of a decided case: outcome texts, certificates and result files. How a decision moves a case is not here."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from backend.cases import steps
from backend.cases.models import Case, Certificate, Event, ResultFile
from backend.cases.ports import Applied, CertificateFact, Outcome
from backend.cases.states import By
from backend.identity.actor import Actor
from kernel import batches, db, ids, storage
from kernel.crypto import seal, unseal, unseal_text
from kernel.masks import mask_tail
from kernel.problems import NotFound


class OutcomeText(msgspec.Struct, frozen=True):
    """What the office wrote about its decision."""

    explain: str
    reason: str


class CertificateView(msgspec.Struct, frozen=True, kw_only=True):
    """A certificate as its owner sees it."""

    name: str
    number: str
    issuer: str
    valid_to: str


class ResultFileView(msgspec.Struct, frozen=True, kw_only=True):
    """A result file as its owner sees it in the case."""

    file_id: str
    name: str
    mime: str
    bytes: int
    sha256: str


async def store_outcome(case: Case, *, outcome: Outcome, code: str, explain: str, reason: str) -> None:
    """Keep what was decided, in the decision's transaction."""
    case.outcome, case.outcome_code = outcome.value, code
    text = msgspec.json.encode(OutcomeText(explain, reason))
    case.outcome_sealed = seal(text, context=_outcome_context(case.case_no))
    await case.save()


def outcome_text(case: Case) -> OutcomeText | None:
    """The office's words, opened."""
    if case.outcome_sealed is None:
        return None
    return msgspec.json.decode(unseal(case.outcome_sealed, context=_outcome_context(case.case_no)), type=OutcomeText)


_CERTIFICATES = batches.Models(Certificate, by={"t.case_id": "bigint"}, order="t.position")
_FILES = batches.Models(ResultFile, by={"t.case_id": "bigint"})


async def store_certificates(case: Case, certificates: Sequence[CertificateFact]) -> None:
    """Keep the certificates of the decision; the first decision's list stands."""
    if await Certificate.filter(case_id=case.id).exists():
        return
    for position, fact in enumerate(certificates):
        await Certificate.create(
            case_id=case.id,
            position=position,
            name=fact.name,
            number_sealed=seal(fact.number, context=_number_context(case.case_no, position)),
            number_mask=mask_tail(fact.number),
            issuer=fact.issuer,
            valid_to=fact.valid_to,
        )


async def certificates_of(case: Case) -> tuple[CertificateView, ...]:
    """The certificates with their full numbers, for the owner."""
    found = await _CERTIFICATES.of(case.id)
    return tuple(
        CertificateView(
            name=row.name,
            number=unseal_text(row.number_sealed, context=_number_context(case.case_no, row.position)),
            issuer=row.issuer,
            valid_to=row.valid_to,
        )
        for row in found
    )


async def add_result_file(
    *,
    case_no: str,
    source_ref: str,
    at: datetime,
    name: str,
    mime: str,
    storage_key: str,
    sha256: str,
    bytes: int,
    seal_info: str = "",
) -> Applied:
    """A result document that the caller has already stored under `storage_key`; a second copy answers ALREADY."""
    async with db.transaction():
        case = await steps.locked(case_no=case_no)
        if await Event.filter(case_id=case.id, source_ref=source_ref).exists():
            return Applied.ALREADY
        await ResultFile.create(
            case_id=case.id,
            ref=ids.public_id(),
            source_ref=source_ref,
            name=name[:200],
            mime=mime,
            bytes=bytes,
            sha256=sha256,
            storage_key=storage_key,
            seal_info=seal_info or None,
        )
        fact = steps.Fact(by=By.PLATFORM, at=at, source_ref=source_ref, facts={"name": name[:200]})
        await steps.record(case, "result_file", fact)
        return Applied.APPLIED


async def files_of(case: Case) -> tuple[ResultFileView, ...]:
    """The result files of a case in the order they came."""
    found = await _FILES.of(case.id)
    return tuple(
        ResultFileView(file_id=row.ref, name=row.name, mime=row.mime, bytes=row.bytes, sha256=row.sha256)
        for row in found
    )


async def read_file(*, actor: Actor, case_no: str, file_id: str) -> tuple[ResultFileView, bytes]:
    """A result file of the actor's own case, with its bytes; NotFound for anybody else's."""
    row = await ResultFile.filter(ref=file_id, case__case_no=case_no, case__account_ref=actor.account_ref).first()
    if row is None:
        raise NotFound("没有找到这份结果文件")
    view = ResultFileView(file_id=row.ref, name=row.name, mime=row.mime, bytes=row.bytes, sha256=row.sha256)
    return view, await storage.get(row.storage_key)


def _outcome_context(case_no: str) -> str:
    return f"cases_case.outcome:{case_no}"


def _number_context(case_no: str, position: int) -> str:
    return f"cases_certificate.number:{case_no}:{position}"
