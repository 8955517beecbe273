"""What each message to the platform consists of: preparing its body, once, from the case as it is."""

from dataclasses import dataclass

from backend.cases import details as cases
from backend.cases.ports import CasePackage
from backend.catalog import queries as catalog
from backend.catalog.views import ItemVersion
from backend.onewindow import attachments, client, inbound, mapping, signing
from backend.onewindow.answers import Meaning, Reading
from backend.onewindow.models import Forwarding, Project
from backend.onewindow.ports import runtime
from kernel import clock, crypto, db

PUSH, SUPPLEMENT, WITHDRAW, DELIVERY = "case.push", "case.supplement", "case.withdraw", "delivery.push"


class NotNumbered(Exception):
    """The platform gave no number for the case; its answer says why."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading.code)
        self.reading = reading


class NothingToTell(Exception):
    """The message has no content (any more). `why` is for the operator."""

    def __init__(self, why: str = "没有需要告知的内容") -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True)
class Prepared:
    """A body that is stored: these bytes and no others are sent."""

    body: bytes
    wire_version: int


def body_context(ref: str) -> str:
    """The seal context of a stored body."""
    return f"onewindow_forwarding.body:{ref}"


def about(row: Forwarding) -> client.About:
    """How calls for this message are recorded."""
    return client.About(case_no=row.case_no, forwarding_ref=row.ref, info=f"{row.verb} {row.subject}")


async def prepare(row: Forwarding) -> Prepared:
    """The stored body, or a new one: number, attachments, content, sealed before the first send.

    Calls the platform (serial.new, attach.put), so it runs outside every transaction.
    """
    if row.body_sealed is not None:
        return Prepared(crypto.unseal(row.body_sealed, context=body_context(row.ref)), row.wire_version)
    if row.verb in (PUSH, SUPPLEMENT) and await cases.is_withdrawn(case_no=row.case_no):
        # Nothing of this message has reached the office, and nobody wants it there any more.
        raise NothingToTell("申请人已撤回，没有报送")
    project = await _numbered(row)
    version = 0 if row.verb == DELIVERY else project.wire_version + 1
    body = client.encode(await _content(row, project, version))
    sealed = crypto.seal(body, context=body_context(row.ref))
    async with db.transaction():
        await Forwarding.filter(id=row.id).update(
            body_sealed=sealed, body_sha256=signing.digest(body), wire_version=version
        )
    row.body_sealed, row.body_sha256, row.wire_version = sealed, signing.digest(body), version
    return Prepared(body, version)


async def discard(row: Forwarding) -> None:
    """The platform refused these bytes for missing files and stored nothing: the next ones may differ."""
    await attachments.forget(row.case_no)
    await Forwarding.filter(id=row.id).update(body_sealed=None, body_sha256="")
    row.body_sealed, row.body_sha256 = None, ""


async def _content(row: Forwarding, project: Project, version: int) -> dict[str, object]:
    if row.verb == DELIVERY:
        report = await runtime().parcels.report(delivery_no=row.subject.partition(":")[0])
        told = mapping.delivery(report, project_no=project.project_no) if report else None
        if told is None:
            raise NothingToTell
        return told
    package = await cases.package(case_no=row.case_no)
    if row.verb == WITHDRAW:
        return mapping.withdraw(project_no=project.project_no, wire_version=version, reason=package.withdraw_reason)
    item = await catalog.version(package.item_version_id)
    if row.verb == SUPPLEMENT:
        return await _supplement(row, package, item, project, version)
    attach_ids = await attachments.ensure(package, project_no=project.project_no, only=None, about=about(row))
    return mapping.case_push(package, item, project_no=project.project_no, wire_version=version, attach_ids=attach_ids)


async def _supplement(
    row: Forwarding, package: CasePackage, item: ItemVersion, project: Project, version: int
) -> dict[str, object]:
    codes = frozenset(package.correction.codes) if package.correction else frozenset()
    attach_ids = await attachments.ensure(package, project_no=project.project_no, only=codes or None, about=about(row))
    return mapping.supplement(
        package,
        item,
        project_no=project.project_no,
        wire_version=version,
        correction_no=await _correction_no(package),
        attach_ids=attach_ids,
    )


async def _correction_no(package: CasePackage) -> int:
    """The platform's own number of the correction: it stands in the event that asked."""
    if package.correction is None:
        raise NothingToTell
    asked = await inbound.payload_of(package.correction.source_ref) if package.correction.source_ref else None
    number = (asked or {}).get("no")
    return number if isinstance(number, int) else package.correction.number


async def _numbered(row: Forwarding) -> Project:
    """The platform's number of the case, fetched once; the same clientRef always gets the same number there."""
    project = await Project.get_or_none(case_no=row.case_no)
    if project is not None:
        return project
    package = await cases.package(case_no=row.case_no)
    item = await catalog.version(package.item_version_id)
    reading = await client.ask(
        "serial.new",
        {"taskCode": item.task_code, "areaCode": package.region_code, "clientRef": row.case_no},
        about=about(row),
    )
    number = reading.data.get("projectno")
    if reading.meaning not in (Meaning.DONE, Meaning.ALREADY):
        raise NotNumbered(reading)
    if not isinstance(number, str) or not 0 < len(number) <= 50:
        raise NotNumbered(Reading(Meaning.LATER, reading.code, "projectNo", {}))
    await db.execute(
        "INSERT INTO onewindow_project (case_no, project_no, applied_seq, wire_version, wire_state, created_at) "
        "VALUES (?, ?, 0, 0, '', ?) ON CONFLICT (case_no) DO NOTHING",
        row.case_no,
        number,
        db.at(clock.now()),
    )
    return await Project.get(case_no=row.case_no)
