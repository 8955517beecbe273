"""Files that prove how a result was handed over.

Kept with the case for as long as the case, never part of what was applied.
"""

from collections.abc import Sequence

import msgspec

from backend.cases.models import Attachment, Case, Material
from backend.identity.actor import Actor
from kernel import db
from kernel.problems import FieldError, Invalid, NotFound

EVIDENCE_CODE = "delivery-evidence"
_CLEAN = "clean"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One kept file: its id and the SHA-256 of the bytes that are kept."""

    material_id: str
    sha256: str


async def keep_evidence(*, actor: Actor, case_no: str, material_ids: Sequence[str]) -> tuple[Evidence, ...]:
    """Binds the actor's own uploads to the case, so that the sweep of unused files leaves them; joins the transaction.

    The attachment ends in the version it begins with: it is on file, and in no package that goes to the platform.
    Raises Invalid when a file is not the actor's own or was refused, NotFound for an unknown case.
    """
    async with db.transaction():
        case = await Case.get_or_none(case_no=case_no)
        if case is None:
            raise NotFound
        kept = []
        for position, material_id in enumerate(material_ids):
            material = await db.lock(Material, ref=material_id, account_ref=actor.account_ref, state=_CLEAN)
            if material is None:
                raise Invalid(errors=[FieldError("/exception", "没有找到照片或签名，请重新上传")])
            await Attachment.create(
                case=case,
                material=material,
                code=EVIDENCE_CODE,
                position=position,
                since_version=case.data_version,
                until_version=case.data_version,
            )
            kept.append(Evidence(material_id=material.ref, sha256=material.stored_sha256 or material.sha256))
        return tuple(kept)
