"""The one runtime object of this slice: settings, the zone table and the carriers. `configure` is called once by the wiring."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backend.delivery import tariff
from backend.delivery.carriers.base import Carrier, Party
from backend.delivery.settings import Settings


@dataclass(frozen=True)
class Runtime:
    """What the functions of this slice work with."""

    settings: Settings
    tariff: tariff.Tariff
    carriers: Mapping[str, Carrier]

    @property
    def carrier(self) -> Carrier:
        """The carrier new parcels are booked with."""
        return self.carriers[self.settings.carrier]

    @property
    def sender(self) -> Party:
        """The window as one end of the way."""
        one = self.settings
        return Party(
            name=one.sender_name,
            phone=one.sender_phone,
            province=one.sender_province,
            city=one.sender_city,
            county=one.sender_county,
            address=one.sender_address,
        )


_runtime: Runtime | None = None


def configure(*, settings: Settings, carriers: Mapping[str, Carrier]) -> None:
    """Takes settings and carriers into use. Raises TariffError when the zone table is wrong: the process must not start."""
    global _runtime
    _runtime = Runtime(settings, tariff.load(Path(settings.zones_path)), dict(carriers))


def runtime() -> Runtime:
    """The configured runtime."""
    if _runtime is None:
        raise RuntimeError("delivery.configure was not called")
    return _runtime
