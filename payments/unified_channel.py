"""The unified public payment channel put together from its settings: profile, door, code table. Used by the wiring only."""

from kernel.http import Partner
from payments.gateways.unified_pay.client import UnifiedPayClient
from payments.gateways.unified_pay.doors import Door, FrameDoor, HttpDoor
from payments.gateways.unified_pay.envelopes import Parties
from payments.gateways.unified_pay.gateway import UnifiedPayGateway
from payments.paycodes import CodeTable
from payments.unified_settings import UnifiedPaySettings


def unified_gateway(settings: UnifiedPaySettings) -> UnifiedPayGateway:
    """The channel of this county."""
    profile, address = settings.profile(), settings.address()
    door: Door
    if profile.transport.kind == "tcp":
        door = FrameDoor(UnifiedPayGateway.partner, address.hostname or "", address.port or 0, profile)
    else:
        transport = profile.transport
        door = HttpDoor(
            Partner(
                UnifiedPayGateway.partner, settings.url.rstrip("/"), connect_seconds=transport.connect_seconds,
                total_seconds=transport.total_seconds,
            ),
            profile,
        )  # fmt: skip
    parties = Parties(our_node=settings.our_node, their_node=settings.finance_node, secret=settings.token)
    client = UnifiedPayClient(profile=profile, parties=parties, region=settings.region, door=door)
    book = CodeTable(channel=UnifiedPayGateway.channel, region=settings.region, template=profile.pay_code.template)
    return UnifiedPayGateway(client=client, book=book)
