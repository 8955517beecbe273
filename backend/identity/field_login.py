"""The doors with a password, for couriers and agents: one rule, whoever knocks.

Tries are counted before the password is looked at, and for unknown names alike. A stranger who guesses shuts out their own
network, not the person: the count of all networks together is wide, and a network from which the person logged in during
the last week is not held by it. Counts belong to a password, so a new one starts at zero.
"""

import ipaddress
from datetime import timedelta

from backend.identity import attempts, sessions
from backend.identity.actor import FieldRole
from backend.identity.models import FieldWorker
from backend.identity.ports import runtime
from backend.identity.views import LoginAnswer
from kernel import crypto, db
from kernel.problems import Unauthenticated

# Wrong tries on one account within 24 hours. A hundred guesses a day are few against eight mixed characters, and nobody
# uses them up from fewer than five networks.
TRIES_OF_A_NETWORK, TRIES_OF_ALL = 20, 100
_DAY = timedelta(days=1)
_DETAIL_SHORT = "密码输错次数过多，请 15 分钟后再试"
_DETAIL_DAY = "这个账号一天内输错密码的次数过多，请明天再试，或联系管理员重置密码"


class WrongPassword(Unauthenticated):
    """Unknown name, the other role's name, disabled account and wrong password look the same."""

    code, title = "wrong-password", "账号或密码不对，请核对后再试"


async def log_in(*, role: FieldRole, login_name: str, password: str, ip: str, device: str | None = None) -> LoginAnswer:
    """Logs a courier or an agent in at their own door; an unknown name costs the same time.

    `ip` is the address the request came from. Raises WrongPassword, TooMany.
    """
    name = login_name.strip().lower()
    worker = await FieldWorker.get_or_none(login_name=name, role=role, disabled_at=None)
    stored = worker.password_hash if worker else None
    everywhere = f"{role}\n{name}\n{stored or ''}"
    here = f"{everywhere}\n{network(ip)}"
    known = await _count(everywhere, here)
    if not await crypto.verify_password(password, stored) or worker is None:
        raise WrongPassword
    await _went_well(everywhere, here, known)
    async with db.transaction():
        return await sessions.open_session(owner=worker, device=device)


def network(ip: str) -> str:
    """Whose address it is, roughly: one subscriber has one IPv4 address, or 2^64 of IPv6."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:  # a socket file has no address
        return ip
    if isinstance(address, ipaddress.IPv4Address):
        return ip
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


async def _count(everywhere: str, here: str) -> bool:
    """One try of this network, and of all networks together unless this one is known, which is the answer."""
    tries, window = runtime().settings.field_login_tries, timedelta(minutes=15)
    await attempts.take(scope="field_login", subject=here, limit=tries, window=window, detail=_DETAIL_SHORT)
    await attempts.take(
        scope="field_login_day", subject=here, limit=TRIES_OF_A_NETWORK, window=_DAY, detail=_DETAIL_DAY
    )
    known = await attempts.remembered(scope="field_login_known", subject=here)
    if not known:
        await attempts.take(
            scope="field_login_all", subject=everywhere, limit=TRIES_OF_ALL, window=_DAY, detail=_DETAIL_DAY
        )
    return known


async def _went_well(everywhere: str, here: str, known: bool) -> None:
    """It was the person: nothing of theirs counts, and their network is known from now on."""
    for scope in ("field_login", "field_login_day"):
        await attempts.forget(scope=scope, subject=here)
    if not known:
        await attempts.give_back(scope="field_login_all", subject=everywhere)
    await attempts.remember(scope="field_login_known", subject=here)
