"""The doors with a password, for couriers and agents: one rule, whoever knocks."""

from datetime import timedelta

from backend.identity import attempts, sessions
from backend.identity.actor import FieldRole
from backend.identity.models import FieldWorker
from backend.identity.ports import runtime
from backend.identity.views import LoginAnswer
from kernel import crypto, db
from kernel.problems import Unauthenticated

_WINDOW = timedelta(minutes=15)


class WrongPassword(Unauthenticated):
    """Unknown name, the other role's name, disabled account and wrong password look the same."""

    code, title = "wrong-password", "账号或密码不对，请核对后再试"


async def log_in(*, role: FieldRole, login_name: str, password: str, device: str | None = None) -> LoginAnswer:
    """Logs a courier or an agent in at their own door. Tries are counted per login name before the password is looked at;
    an unknown name costs the same time.
    """
    name = login_name.strip().lower()
    await attempts.take(
        scope="field_login",
        subject=name,
        limit=runtime().settings.field_login_tries,
        window=_WINDOW,
        detail="密码输错次数过多，请 15 分钟后再试，或联系管理员重置密码",
    )
    worker = await FieldWorker.get_or_none(login_name=name, role=role, disabled_at=None)
    if not await crypto.verify_password(password, worker.password_hash if worker else None) or worker is None:
        raise WrongPassword
    await attempts.forget(scope="field_login", subject=name)
    async with db.transaction():
        return await sessions.open_session(owner=worker, device=device)
