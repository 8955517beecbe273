"""Hand-written stand-ins for the two ports of the identity slice, and synthetic people nobody is (area prefix 57
was never assigned).
"""

from backend.identity import ports
from backend.identity.login import CodeRefused
from backend.identity.ports import RegisterOutcome, WechatPhone
from backend.identity.settings import IdentitySettings
from kernel import db

WANG = ("王秀兰", "570101198504123020")
LI = ("李大年", "57010119740923019X")


class FakeWechat:
    """Codes are "code-<openid>"; each works once. Phone codes are "phone-<number>"."""

    def __init__(self):
        self.used = set()

    async def openid_for(self, *, code):
        assert not db.in_transaction(), "WeChat must not be called inside a transaction"
        if not code.startswith("code-") or code in self.used:
            raise CodeRefused
        self.used.add(code)
        return code.removeprefix("code-").split("#")[0]

    async def phone_for(self, *, code, openid):
        assert not db.in_transaction(), "WeChat must not be called inside a transaction"
        country, _, number = code.removeprefix("phone-").rpartition("+")
        return WechatPhone(number, country or "86")


class FakeRegister:
    """Knows the people it is given and says for each number what the test wants."""

    def __init__(self):
        self.people = {WANG[1]: WANG[0], LI[1]: LI[0]}
        self.outcomes = {}
        self.questions = []

    async def verify(self, *, name, id_number, request_no):
        assert not db.in_transaction(), "the register must not be asked inside a transaction"
        self.questions.append((name, id_number, request_no))
        if id_number in self.outcomes:
            return self.outcomes[id_number]
        if id_number not in self.people:
            return RegisterOutcome.UNKNOWN
        return RegisterOutcome.MATCH if self.people[id_number] == name else RegisterOutcome.NAME_MISMATCH


def configure(**settings):
    wechat, register = FakeWechat(), FakeRegister()
    ports.configure(settings=IdentitySettings(**settings), wechat=wechat, register=register)
    return wechat, register
