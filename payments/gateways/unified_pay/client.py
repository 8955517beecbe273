"""One call to the finance platform: the profile's template in, our words out, and what the answer is worth. Never retries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from kernel import clock, ids
from payments.gateways.unified_pay import envelopes, templates, xmltext
from payments.gateways.unified_pay.doors import Door, Silence
from payments.gateways.unified_pay.envelopes import Incoming, Outgoing, Parties, ProofFailed
from payments.gateways.unified_pay.frames import FrameError
from payments.gateways.unified_pay.profile import Operation, Profile
from payments.gateways.unified_pay.xmltext import XmlError

log = structlog.get_logger(__name__)

Facts = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came back, in our words. `result` is the platform's own code; empty when nothing may be believed."""

    result: str = ""
    facts: Facts = field(default_factory=dict, repr=False)
    orders: Sequence[Facts] = field(default=(), repr=False)
    sent: bool = True
    reason: str = ""

    def get(self, word: str) -> str:
        """A fact, "" when it is missing."""
        return self.facts.get(word, "")


class UnifiedPayClient:
    """Speaks the language of one profile."""

    def __init__(self, *, profile: Profile, parties: Parties, region: str, door: Door) -> None:
        self.profile, self.parties, self.region, self._door = profile, parties, region, door

    def can(self, operation: str) -> bool:
        """Whether this region has the call."""
        return operation in self.profile.operations

    async def call(
        self,
        name: str,
        facts: Facts,
        *,
        items: Sequence[Facts] = (),
        msg_id: str | None = None,
        date: str | None = None,
    ) -> Reply:
        """One exchange. A repeat with the same facts, `msg_id` and `date` sends the identical bytes."""
        operation = self.profile.operations[name]
        message = self._message(operation, facts, items, msg_id or ids.number(), date or today())
        raw = envelopes.write(self.profile, self.parties, message)
        answer = await self._door.exchange(operation.send, raw)
        if isinstance(answer, Silence):
            return Reply(sent=answer.sent, reason=answer.reason)
        try:
            incoming = envelopes.read(self.profile, self.parties, answer)
        except (FrameError, ProofFailed, XmlError) as error:
            log.warning("unified_pay.answer", call=name, outcome="not believed", reason=type(error).__name__)
            return Reply(reason=type(error).__name__)
        if incoming.reply_to != message.msg_id and self.profile.envelope.kind == "voucher":
            log.warning("unified_pay.answer", call=name, outcome="not believed", reason="another question's answer")
            return Reply(reason="another question's answer")
        return self._reply(name, operation, incoming)

    def read(self, words: Mapping[str, str], tree: xmltext.Tree) -> dict[str, str]:
        """Our words from a message, by the profile's paths."""
        return {word: xmltext.at(tree, path).strip() for word, path in words.items()}

    def _message(self, operation: Operation, facts: Facts, items: Sequence[Facts], msg_id: str, date: str) -> Outgoing:
        known = {"region": self.region, **facts}
        groups = []
        if operation.items:
            path, fields = self.profile.items.path, self.profile.items.fields
            groups = [(path, {n: templates.fill(t, item) for n, t in fields.items()}) for item in items]
        known["items"] = "".join(templates.fill(self.profile.items.each, item) for item in items)
        fields = {name: templates.fill(template, known) for name, template in operation.fields.items()}
        return Outgoing(number=operation.send, msg_id=msg_id, date=date, fields=fields, groups=groups)

    def _reply(self, name: str, operation: Operation, incoming: Incoming) -> Reply:
        facts = self.read(operation.read, incoming.tree)
        orders: list[Facts] = []
        if operation.orders is not None:
            listed = xmltext.groups(incoming.tree, operation.orders.path)
            orders = [self.read(operation.orders.read, group) for group in listed]
        result = facts.get("result", "")
        if not self.profile.means(result, "done"):
            log.info("unified_pay.answer", call=name, result=result[:20])
        elif operation.answer and incoming.number != operation.answer:
            return Reply(reason=f"unexpected answer {incoming.number}")
        # Only the code: the platform's own sentence may name a person.
        return Reply(result=result[:40], facts=facts, orders=orders, reason=result[:40])


def today() -> str:
    """The date in the head of a message."""
    return clock.local(clock.now()).strftime("%Y%m%d")
