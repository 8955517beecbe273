"""WeChat's two token families, plain and stable, with their overlaps, quotas and ways to die."""

import hmac
import secrets
from datetime import timedelta, timezone

from sandbox.partner import Partner
from sandbox.store import Doc
from sandbox.wechat_errors import WeChatError

LIFE_S = 7200
OVERLAP_S = 300
FORCE_GAP_S = 30
FORCES_PER_DAY = 20
_SHANGHAI = timezone(timedelta(hours=8))


class Tokens:
    """Issues and checks access tokens. Both families are accepted by every API and never disturb each other."""

    def __init__(self, partner: Partner, *, appid: str, secret: str) -> None:
        self.partner = partner
        self.store = partner.store
        self.appid = appid
        self.secret = secret

    def check_credentials(self, grant_type: object, appid: object, secret: object, *, grant: str) -> None:
        """40002, 41002, 40013, 41004 or 40125."""
        if grant_type != grant:
            raise WeChatError(40002)
        if not appid:
            raise WeChatError(41002)
        if appid != self.appid:
            raise WeChatError(40013)
        if not secret:
            raise WeChatError(41004)
        if not hmac.compare_digest(str(secret).encode(), self.secret.encode()):
            raise WeChatError(40125)

    def plain(self) -> Doc:
        """A new token at every call; the previous one still works for five minutes."""
        with self.store.transaction():
            self._retire("plain", after_s=OVERLAP_S)
            return self._answer(self._issue("plain"))

    def stable(self, *, force: bool) -> Doc:
        """The same token until five minutes before its end; a forced call kills it at once."""
        now = self.partner.now_s()
        with self.store.transaction():
            current = self._latest("stable")
            if force:
                self._count_force(now)
                self._retire("stable", after_s=0)
                return self._answer(self._issue("stable"))
            if current and self._is_alive(current) and current["expires_at"] - now > self.partner.scaled(OVERLAP_S):
                return self._answer(current)
            self._retire("stable", after_s=OVERLAP_S)
            return self._answer(self._issue("stable"))

    def check(self, token: str | None) -> None:
        """41001 without, 40001 unknown or replaced, 42001 expired."""
        if not token:
            raise WeChatError(41001)
        found = self.store.get("token", token)
        if found is None or not self._is_alive(found):
            raise WeChatError(40001)
        if self.partner.now_s() >= found["expires_at"]:
            raise WeChatError(42001)

    def invalidate(self) -> int:
        """Silently kill every token, as happens when another party fetches one; how many were alive."""
        alive = [found for found in self.store.all("token") if self._is_alive(found)]
        for found in alive:
            self.store.put("token", found["token"], {**found, "dead_at": self.partner.now_s()}, "invalidated")
        return len(alive)

    def _issue(self, family: str) -> Doc:
        now = self.partner.now_s()
        token = f"{secrets.randbelow(90) + 10}_{secrets.token_urlsafe(96)}"
        issued = {
            "token": token,
            "family": family,
            "issued_at": now,
            "expires_at": now + self.partner.scaled(LIFE_S),
            "dead_at": None,
        }
        self.store.put("token", token, issued, "issued")
        self.store.put("token_latest", family, {"token": token})
        return issued

    def _answer(self, token: Doc) -> Doc:
        left = max(1, round(token["expires_at"] - self.partner.now_s()))
        return {"access_token": token["token"], "expires_in": left}

    def _latest(self, family: str) -> Doc | None:
        latest = self.store.get("token_latest", family)
        return self.store.get("token", latest["token"]) if latest else None

    def _retire(self, family: str, *, after_s: float) -> None:
        token = self._latest(family)
        if token is not None and self._is_alive(token):
            dead_at = self.partner.now_s() + self.partner.scaled(after_s)
            self.store.put("token", token["token"], {**token, "dead_at": dead_at}, "replaced")

    def _is_alive(self, token: Doc) -> bool:
        return token["dead_at"] is None or self.partner.now_s() < token["dead_at"]

    def _count_force(self, now: float) -> None:
        day = self.partner.now().astimezone(_SHANGHAI).date().isoformat()
        forced = self.store.get("token_force", "force") or {"day": day, "times": 0, "last": 0.0}
        if now - forced["last"] < self.partner.scaled(FORCE_GAP_S):
            raise WeChatError(45011)
        times = forced["times"] + 1 if forced["day"] == day else 1
        if times > FORCES_PER_DAY:
            raise WeChatError(45009)
        self.store.put("token_force", "force", {"day": day, "times": times, "last": now})
