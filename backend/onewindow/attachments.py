"""Photos and papers on their way to the platform: each file of a case travels once and is remembered by its content."""

from backend.cases.ports import CasePackage, PackageMaterial
from backend.onewindow import client, mapping, signing
from backend.onewindow.answers import Meaning, Reading
from backend.onewindow.models import Attachment
from kernel import clock, db, storage


class NotUploaded(Exception):
    """The platform did not take a file; its answer says why."""

    def __init__(self, reading: Reading) -> None:
        super().__init__(reading.code)
        self.reading = reading


async def ensure(
    package: CasePackage, *, project_no: str, only: frozenset[str] | None, about: client.About
) -> dict[str, str]:
    """Upload what the platform lacks; material id → the platform's attachId. Raises NotUploaded and PartnerError."""
    known = {row.material_ref: row.attach_id for row in await Attachment.filter(case_no=package.case_no)}
    for material in package.materials:
        wanted = only is None or material.code in only
        if wanted and material.material_id not in known:
            known[material.material_id] = await _upload(package.case_no, material, project_no, about)
    return known


async def _upload(case_no: str, material: PackageMaterial, project_no: str, about: client.About) -> str:
    content = await storage.get(material.storage_key)
    sha256 = signing.digest(content)
    same = await Attachment.filter(case_no=case_no, sha256=sha256).first()
    attach_id = same.attach_id if same else await _send(material, project_no, content, about)
    await db.execute(
        "INSERT INTO onewindow_attachment (case_no, material_ref, sha256, attach_id, created_at) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT (case_no, material_ref) DO UPDATE SET attach_id = excluded.attach_id",
        case_no,
        material.material_id,
        sha256,
        attach_id,
        db.at(clock.now()),
    )
    return attach_id


async def _send(material: PackageMaterial, project_no: str, content: bytes, about: client.About) -> str:
    reading = await client.put_file(
        project_no=project_no,
        material_code=material.code,
        name=mapping.file_name(material),
        mime=material.mime,
        content=content,
        about=client.About(
            case_no=about.case_no, forwarding_ref=about.forwarding_ref, info=f"{material.code} {len(content)} 字节"
        ),
    )
    attach_id = reading.data.get("attachid")
    if reading.meaning not in (Meaning.DONE, Meaning.ALREADY):
        raise NotUploaded(reading)
    if not isinstance(attach_id, str) or not 0 < len(attach_id) <= 64:
        raise NotUploaded(Reading(Meaning.LATER, reading.code, "attachId", {}))
    return attach_id


async def forget(case_no: str) -> None:
    """The platform lost files of this case (305): all of them travel again; the ones it has keep their attachId there."""
    await Attachment.filter(case_no=case_no).delete()
