"""WeChat's answers to a login in the words of this slice: refusals become Problems with a text for the person."""

from backend.identity.login import CodeRefused
from backend.identity.ports import WechatPhone
from kernel.http import PartnerError
from kernel.problems import FieldError, Forbidden, Invalid, PartnerDown, Problem, TooMany
from kernel.wechat import WeChat, WeChatError

# Codes of WeChat (public documentation): an invalid code, a used one, a burst, an account WeChat blocks.
_BAD_CODE = frozenset({40029, 40163})
_TOO_OFTEN, _HIGH_RISK = 45011, 40226


class PhoneCodeRefused(Invalid):
    """The code of the phone button is of no use any more."""

    code, title = "phone-code-refused", "手机号凭证已失效，请重新点击“获取手机号”"


class WechatBlocked(Forbidden):
    """WeChat itself refuses this account."""

    code, title = "wechat-blocked", "微信提示该账号存在风险，暂时不能登录，请到政务服务大厅办理"


class WechatDown(PartnerDown):
    """No usable answer from WeChat; the phone simply tries again with a new code."""

    code, title = "wechat-down", "微信暂时没有响应，请稍后重新打开小程序再试"


class WechatAdapter:
    """Implements `ports.WechatPort` over the transport of `kernel.wechat`."""

    def __init__(self, wechat: WeChat) -> None:
        self._wechat = wechat

    async def openid_for(self, *, code: str) -> str:
        """Whose login code this is."""
        try:
            return (await self._wechat.code2session(code)).openid
        except WeChatError as error:
            raise _problem(error, CodeRefused()) from None
        except PartnerError:
            raise WechatDown(retry_after_seconds=3) from None

    async def phone_for(self, *, code: str, openid: str) -> WechatPhone:
        """The number behind the phone button's code."""
        try:
            phone = await self._wechat.phone_number(code=code, openid=openid)
        except WeChatError as error:
            refused = PhoneCodeRefused(errors=[FieldError("/code", "请重新点击“获取手机号”")])
            raise _problem(error, refused) from None
        except PartnerError:
            raise WechatDown(retry_after_seconds=3) from None
        return WechatPhone(number=phone.number, country_code=phone.country_code)


def _problem(error: WeChatError, bad_code: Problem) -> Problem:
    if error.errcode in _BAD_CODE:
        return bad_code
    if error.errcode == _TOO_OFTEN:
        return TooMany(retry_after_seconds=60)
    if error.errcode == _HIGH_RISK:
        return WechatBlocked()
    return WechatDown(retry_after_seconds=3)
