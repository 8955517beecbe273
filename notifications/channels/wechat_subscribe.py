"""The WeChat subscribe message: which template carries a letter, whether the person allowed it, and what each answer means."""

from datetime import datetime, timedelta

import structlog

from kernel import clock
from kernel.http import NoAnswer, NotSent
from kernel.wechat import MISCONFIGURED, QUOTA_USED_UP, TOKEN_REFUSED, WeChat, WeChatError
from notifications import quota
from notifications.channels.base import Letter, Outcome, Ready, Skip
from notifications.channels.wechat_values import UnfitValue, fitted
from notifications.directory import Directory, index_of
from notifications.models import WechatTemplate
from notifications.states import DeliveryAction

log = structlog.get_logger(__name__)

_REFUSED_BY_PERSON = 43101
_PAGE_NOT_RELEASED = 41030
_TOO_FAST = frozenset({45011, 45047})
# 47003 a value, 40037 the template, 40003 the openid, 43107 and 43108 a ban: trying again changes nothing.
_PARKED = frozenset({47003, 40037, 40003, 43107, 43108})
_BACKOFF_SECONDS = 600.0


class WechatSubscribe:
    """See wechat.md §4 in the protocol notes: the send call is not idempotent, so an unclear answer is never repeated."""

    name = "wechat_subscribe"

    def __init__(self, wechat: WeChat | None, directory: Directory) -> None:
        self._wechat, self._directory = wechat, directory

    async def prepare(self, letter: Letter) -> Ready | Skip:
        """Chooses the template, fits the values and reserves one permission."""
        template = await WechatTemplate.get_or_none(name=letter.template)
        if self._wechat is None or template is None:
            return Skip(DeliveryAction.SKIP_NOT_CONFIGURED, "no template")
        openid = (await self._directory.addresses(letter.recipient_ref)).openid
        if openid is None:
            return Skip(DeliveryAction.SKIP_NO_ADDRESS, "no openid")
        try:
            values = {key: fitted(key, letter.values[name]) for name, key in template.mapping.items()}
        except UnfitValue as error:
            log.error("message.unfit_value", template=letter.template, field=error.key)
            return Skip(DeliveryAction.PARK, f"unfit {error.key}")
        index = index_of(openid)
        reserved = await quota.reserve(address_index=index, template_id=template.template_id, term=template.term)
        if reserved is None:
            return Skip(DeliveryAction.SKIP_NO_QUOTA, "nothing granted")
        return Ready(openid, index, template.template_id, reserved, {"values": values, "page": letter.page or None})

    async def send(self, ready: Ready) -> Outcome:
        """One call; a second one only without the page, when WeChat has said that it did nothing because of the page."""
        outcome = await self._once(ready, ready.arguments["page"])
        if outcome.code == _PAGE_NOT_RELEASED and ready.arguments["page"]:
            log.error("message.page_not_released", channel=self.name)
            outcome = await self._once(ready, None)
        return outcome

    async def _once(self, ready: Ready, page: str | None) -> Outcome:
        assert self._wechat is not None  # noqa: S101 - prepare() has looked
        try:
            await self._wechat.send_subscribe_message(
                openid=ready.address, template_id=ready.template_id, values=ready.arguments["values"], page=page
            )
        except NotSent as error:
            return Outcome(DeliveryAction.RETRY, note=error.reason)
        except NoAnswer as error:
            # An unclear token fetch is no unclear send: the message itself certainly did not go out.
            unsent = error.call == "stable_token"
            return Outcome(DeliveryAction.RETRY if unsent else DeliveryAction.LOSE, note=error.reason)
        except WeChatError as error:
            return self._refusal(error)
        return Outcome(DeliveryAction.ACCEPT, code=0)

    def _refusal(self, error: WeChatError) -> Outcome:
        code = error.errcode
        if code == _REFUSED_BY_PERSON:
            return Outcome(DeliveryAction.REFUSE, code, "refused or used up", quota_gone=True)
        if code in _PARKED or code == _PAGE_NOT_RELEASED or code is None:
            log.error("message.parked", channel=self.name, errcode=code, field=error.field, rid=error.rid)
            return Outcome(DeliveryAction.PARK, code, error.field or error.reason)
        if code == QUOTA_USED_UP:
            log.error("message.daily_quota_used_up", channel=self.name, rid=error.rid)
            return Outcome(DeliveryAction.RETRY, code, "daily quota", _seconds_to_tomorrow())
        if code in MISCONFIGURED or code in TOKEN_REFUSED:
            log.error("message.wechat_misconfigured", channel=self.name, errcode=code, rid=error.rid)
            return Outcome(DeliveryAction.RETRY, code, "configuration", _BACKOFF_SECONDS)
        if code in _TOO_FAST:
            return Outcome(DeliveryAction.RETRY, code, "too fast", _BACKOFF_SECONDS)
        return Outcome(DeliveryAction.RETRY, code, error.reason)


def _seconds_to_tomorrow() -> float:
    """WeChat counts days in Beijing; five minutes past midnight leaves room for its clock."""
    tomorrow = datetime.combine(clock.today() + timedelta(days=1), datetime.min.time(), tzinfo=clock.SHANGHAI)
    return (tomorrow - clock.now()).total_seconds() + 300
