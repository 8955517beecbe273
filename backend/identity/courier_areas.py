"""Which couriers serve a place: the question the delivery slice asks when a parcel needs somebody to carry it."""

from backend.identity.models import FieldWorker
from backend.identity.views import CourierMe, courier_me_of


async def couriers_covering(*, carrier: str, region_code: str) -> tuple[CourierMe, ...]:
    """Active couriers of a carrier one of whose areas holds the 12-digit region, oldest account first.

    A carrier has a handful of couriers in a county, so they are read together and compared here (no JSON filter).
    """
    rows = await FieldWorker.filter(role="courier", carrier=carrier, disabled_at=None).order_by("id")
    return tuple(courier_me_of(row) for row in rows if any(covers(area, region_code) for area in row.areas))


def covers(area: str, region_code: str) -> bool:
    """Whether an area (a prefix, perhaps padded with zeros to 12 digits) holds the region."""
    if len(area) == 12:
        for length in (9, 6, 4, 2):
            if area[length:].strip("0"):
                break
            area = area[:length]
    return region_code.startswith(area)
