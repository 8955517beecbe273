"""Random lives of sessions against a simple model: whatever people, thieves and time do, a dead token never opens anything."""

import random

import pytest

from backend.identity import login
from backend.identity.login import SessionEnded

IDLE, LIFE = 30 * 60, 7 * 24 * 3600


class Family:
    """What must be true of one login."""

    def __init__(self, answer, now):
        self.current, self.used, self.dead_access = answer, [], []
        self.born = self.last_use = now
        self.alive = True

    def can_refresh(self, now):
        return self.alive and now < self.born + LIFE

    def access_is_good(self, now):
        return self.can_refresh(now) and now < self.last_use + IDLE


@pytest.mark.parametrize("seed", range(12))
async def test_a_dead_token_never_opens_anything(partners, frozen_clock, seed):
    dice, families, start = random.Random(seed), [], frozen_clock.now()

    def now():
        return (frozen_clock.now() - start).total_seconds()

    async def use(family):
        actor = await login.authenticate(token=family.current.access_token)
        assert (actor is not None) == family.access_is_good(now())
        if actor and now() >= family.last_use + 60:
            family.last_use = now()
        return actor

    for step in range(60):
        action = dice.choice(["login", "use", "use", "refresh", "refresh", "steal", "logout", "wait", "wait"])
        if action == "login" or not families:
            answer = await login.login_wechat(code=f"code-person-{dice.randrange(3)}#{step}")
            families.append(Family(answer, now()))
            continue
        family = dice.choice(families)
        if action == "wait":
            frozen_clock.advance(seconds=dice.choice([10, 61, 600, IDLE - 1, IDLE + 1, 86400]))
        elif action == "use":
            await use(family)
        elif action == "refresh":
            token = family.current.refresh_token
            if not family.can_refresh(now()):
                with pytest.raises(SessionEnded):
                    await login.refresh(refresh_token=token, idempotency_key=str(step))
                continue
            answer = await login.refresh(refresh_token=token, idempotency_key=str(step))
            assert await login.refresh(refresh_token=token, idempotency_key=str(step)) == answer
            family.used.append(token)
            family.dead_access.append(family.current.access_token)
            family.current, family.last_use = answer, now()
        elif action == "steal" and family.used:
            with pytest.raises(SessionEnded):
                await login.refresh(refresh_token=dice.choice(family.used), idempotency_key="thief")
            if family.can_refresh(now()):
                family.alive = False
        elif action == "logout" and (actor := await use(family)):
            await login.logout(actor=actor)
            family.alive = False
        for old in (token for each in families for token in each.dead_access[-2:]):
            assert await login.authenticate(token=old) is None
