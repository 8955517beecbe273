"""When a case may be forwarded: nothing that must be paid first is outstanding.

Forwarding itself is the one-window slice's.
"""

import payments
from backend.cases import steps
from backend.cases.models import Case
from backend.cases.states import CaseState
from backend.catalog.views import ItemVersion
from kernel import together

READY = "case.ready"


async def announce_if_ready(case: Case, item: ItemVersion) -> bool:
    """Publish case.ready once per data version, under the case's lock. True when it is or already was announced.

    Only the item's own bill can hold a case back, and only if the item says so; the courier's bill never does.
    """
    if case.ready_version >= case.data_version:
        return True
    if case.state != CaseState.SUBMITTED:
        return False
    if item.pay_before_forward and await payments.outstanding(
        subject=steps.subject(case.case_no), kind="administrative"
    ):
        return False
    case.ready_version = case.data_version
    await together.save(case)
    version = case.data_version
    await steps.publish(READY, case_no=case.case_no, key=str(version), data_version=version)
    return True
