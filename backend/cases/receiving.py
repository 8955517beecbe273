"""A photo sent in one request: from the stream of the request to the checked material."""

from collections.abc import AsyncIterator

from backend.cases import materials, pacing, runtime
from backend.cases.materials import MaterialView
from backend.cases.multipart import receive_form
from backend.identity.actor import Actor


async def one_shot(*, actor: Actor, content_type: str, chunks: AsyncIterator[bytes]) -> MaterialView:
    """Receives a multipart form with exactly one file, checks and keeps it.

    Raises the refusals of the form (400/408/413/415/422), of a photo, UploadQuota (429) and PhotoCheckBusy (503).
    """
    folder = runtime.get().work_folder
    async with receive_form(content_type=content_type, chunks=pacing.paced(chunks), folder=folder) as form:
        file = form.only_file()
        return await materials.receive(
            actor=actor, path=file.path, bytes=file.bytes, sha256=file.sha256, head=file.head
        )
