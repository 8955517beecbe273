"""What two requests may do at the same moment, and what is left over when something was given up."""

import pytest

from backend.cases import corrections, service, uploads
from backend.cases.models import Correction, Upload
from backend.cases.ports import Shortcoming
from backend.cases.submission import SubmissionIncomplete
from tests.backend.cases.test_corrections import asked
from tests.backend.cases.test_materials import PHOTO, announce, append


async def test_who_asks_for_a_complete_upload_a_moment_too_late_gets_the_same_material(world):
    """The check takes seconds: a phone that lost patience asks again while the first request is still at work."""
    upload = await announce(world.citizen)
    await append(world.citizen, upload, PHOTO, 0, 1000)
    slow = await uploads._confirm(await Upload.get(ref=upload.upload_id), 1000, PHOTO[1000:])
    first = await uploads.finish(actor=world.citizen, upload_id=upload.upload_id)
    assert (await uploads._complete(world.citizen, slow)).material_ref == first.material.material_id
    assert await uploads.status(actor=world.citizen, upload_id=upload.upload_id) == first


async def test_a_withdrawn_case_waits_for_no_correction(world):
    case_no = await asked(world)
    await service.withdraw(actor=world.citizen, case_no=case_no, reason="")
    assert (await Correction.get()).state == "closed"


async def test_an_answer_with_nothing_in_it_is_no_answer(world):
    case_no = await asked(world, items=(Shortcoming(material_code="", problem="联系电话写错了"),))
    with pytest.raises(SubmissionIncomplete) as refused:
        await corrections.answer(actor=world.citizen, case_no=case_no, number=1)
    assert [error.pointer for error in refused.value.errors] == ["/form"]
