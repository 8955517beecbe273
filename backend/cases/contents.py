"""What a case holds under seal and which files it uses: drafts, forms, applicant, delivery wish, attachments.

No state is changed here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from backend.cases.models import Attachment, Case, Material
from backend.cases.ports import Applicant, DeliveryWish
from backend.cases.screening import MaterialChoice
from backend.identity.views import Person
from kernel import batches, db, rows, together
from kernel.crypto import seal, unseal
from kernel.masks import mask_address, mask_name, mask_phone
from kernel.problems import FieldError, Invalid
from kernel.rows import Read

MAX_DRAFT_BYTES = 64 * 1024


class Draft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an applicant has typed so far; anything may still be missing or wrong."""

    form: dict[str, Any] = {}
    materials: tuple[MaterialChoice, ...] = ()
    delivery: dict[str, Any] | None = None
    promise: dict[str, Any] | None = None


class _SealedDraft(msgspec.Struct, frozen=True):
    form: dict[str, Any]
    delivery: dict[str, Any] | None
    promise: dict[str, Any] | None


def put_draft(case: Case, draft: Draft) -> None:
    """Seal the draft into the row; the files are kept as attachments."""
    body = msgspec.json.encode(_SealedDraft(draft.form, draft.delivery, draft.promise))
    if len(body) > MAX_DRAFT_BYTES:
        raise Invalid(errors=[FieldError("/form", "填写的内容太多，请删减后再保存")])
    case.draft_sealed = seal(body, context=_context(case, "draft"))


async def draft_of(case: Case) -> Draft:
    """The draft as saved last."""
    if case.draft_sealed is None:
        return Draft(materials=await choices_of(case))
    sealed = msgspec.json.decode(unseal(case.draft_sealed, context=_context(case, "draft")), type=_SealedDraft)
    return Draft(form=sealed.form, materials=await choices_of(case), delivery=sealed.delivery, promise=sealed.promise)


def put_form(case: Case, form: dict[str, Any]) -> None:
    """Seal the submitted form into the row."""
    case.form_sealed = seal(msgspec.json.encode(form), context=_context(case, "form"))


def form_of(case: Case) -> dict[str, Any]:
    """The submitted form, opened."""
    if case.form_sealed is None:
        return {}
    form: dict[str, Any] = msgspec.json.decode(unseal(case.form_sealed, context=_context(case, "form")))
    return form


def put_applicant(case: Case, person: Person) -> None:
    """Freeze who applies: a later change of the account does not change a submitted case."""
    applicant = Applicant(
        name=person.name or "",
        id_type=person.id_type or "",
        id_number=person.id_number or "",
        phone=person.phone or "",
    )
    case.applicant_sealed = seal(msgspec.json.encode(applicant), context=_context(case, "applicant"))
    case.applicant_name_mask = person.name_mask
    case.applicant_id_mask = person.id_mask
    case.applicant_phone_mask = person.phone_mask


def applicant_of(case: Case) -> Applicant:
    """The frozen applicant, opened."""
    if case.applicant_sealed is None:
        return Applicant(name="", id_type="", id_number="", phone="")
    return msgspec.json.decode(unseal(case.applicant_sealed, context=_context(case, "applicant")), type=Applicant)


def put_delivery(case: Case, wish: DeliveryWish | None) -> None:
    """Seal the delivery wish; the masks are what lists and couriers' screens may show."""
    if wish is None:
        return
    case.delivery_way = wish.way
    case.delivery_sealed = seal(msgspec.json.encode(wish), context=_context(case, "delivery"))
    if wish.recipient is not None:
        case.delivery_name_mask = mask_name(wish.recipient.name)
        case.delivery_phone_mask = mask_phone(wish.recipient.phone)
        case.delivery_address_mask = mask_address(wish.recipient.address)


def delivery_of(case: Case) -> DeliveryWish | None:
    """The delivery wish, opened."""
    if case.delivery_sealed is None:
        return None
    return msgspec.json.decode(unseal(case.delivery_sealed, context=_context(case, "delivery")), type=DeliveryWish)


class Usable(NamedTuple):
    """A person's own file, locked until the transaction ends."""

    id: int
    ref: str
    state: str


async def usable(account_ref: str, choices: Iterable[MaterialChoice]) -> dict[str, Usable]:
    """The person's own files among the chosen ids, locked, so that the sweep cannot take one away meanwhile."""
    return await rows.one(using(account_ref, choices))


def using(account_ref: str, choices: Iterable[MaterialChoice]) -> Read[dict[str, Usable]]:
    """`usable` as a SELECT that travels with others."""
    refs = list({material_id for choice in choices for material_id in choice.material_ids})

    def made(found: Sequence[Sequence[Any]]) -> dict[str, Usable]:
        return {ref: Usable(number, ref, state) for number, ref, state in found}

    return Read(
        f"SELECT id, ref, state FROM cases_material WHERE account_ref = ? AND ref {db.any_of(refs, 'text')} ORDER BY id",
        (account_ref, *db.values_of(refs)),
        made,
        locks="cases_material",
    )


async def sha256_of(account_ref: str, refs: Iterable[str]) -> dict[str, str]:
    """What was sent for each of the person's own files, to recognise one picture under two ids."""
    return {row.ref: row.sha256 for row in await Material.filter(account_ref=account_ref, ref__in=list(refs))}


async def attach(case: Case, choices: Sequence[MaterialChoice], files: Mapping[str, Usable], *, version: int) -> None:
    """Use these files from this data version on, in place of what the same codes held before."""
    codes = [choice.code for choice in choices]
    await Attachment.filter(case_id=case.id, code__in=codes, until_version=None).update(until_version=version)
    await _use(case, choices, files, version=version)


async def attach_first(case: Case, choices: Sequence[MaterialChoice], files: Mapping[str, Usable]) -> None:
    """Use exactly these files from the first data version on; what the draft held is forgotten."""
    await together.write("DELETE FROM cases_attachment WHERE case_id = ?", case.id)
    await _use(case, choices, files, version=case.data_version)


async def _use(case: Case, choices: Sequence[MaterialChoice], files: Mapping[str, Usable], *, version: int) -> None:
    for choice in choices:
        for position, material_id in enumerate(choice.material_ids):
            await together.add(
                Attachment,
                case_id=case.id,
                material_id=files[material_id].id,
                code=choice.code,
                position=position,
                since_version=version,
            )


async def replace_draft_files(case: Case, choices: Sequence[MaterialChoice], files: Mapping[str, Usable]) -> None:
    """A draft has no history: what was chosen before is simply forgotten."""
    await Attachment.filter(case_id=case.id, since_version=0).delete()
    await attach(case, choices, files, version=0)


async def discard_draft(case: Case) -> None:
    """A draft that is thrown away keeps nothing of the person; the caller saves the row."""
    case.draft_sealed = None
    await Attachment.filter(case_id=case.id, since_version=0).delete()


async def attached(case: Case) -> list[Attachment]:
    """The files in use now, with their material, in the order of codes and positions."""
    query = Attachment.filter(case_id=case.id, until_version=None).order_by("code", "position", "id")
    return await query.prefetch_related("material")


class InUse(NamedTuple):
    """A file in use, as it is shown."""

    code: str
    ref: str
    width: int | None
    height: int | None


_IN_USE = batches.Records(
    "a.code, m.ref, m.width, m.height",
    "(cases_attachment a JOIN cases_material m ON m.id = a.material_id)",
    by={"a.case_id": "bigint"},
    where="a.until_version IS NULL",
    order="a.code, a.position, a.id",
)


async def in_use(case: Case) -> list[InUse]:
    """The files in use now, in the order of codes and positions, for those who only show them."""
    return [InUse(*row[1:]) for row in await _IN_USE.of(case.id)]


async def choices_of(case: Case) -> tuple[MaterialChoice, ...]:
    """The files in use now, grouped by code."""
    grouped: dict[str, list[str]] = {}
    for row in await attached(case):
        grouped.setdefault(row.code, []).append(row.material.ref)
    return tuple(MaterialChoice(code=code, material_ids=tuple(refs)) for code, refs in grouped.items())


def _context(case: Case, column: str) -> str:
    return f"cases_case.{column}:{case.case_no}"
