"""What must never be found in a log, an error or a clear column: the values of this run, and everything shaped like them."""

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from deploy.local.processes import ROOT
from sandbox.people import DEMO_PEOPLE, check_is_right, with_check
from tests.security.stage import Stage

# Invented for the inputs that nobody should send; well formed, so that shape-based walls meet them too.
ID_NUMBER, PHONE, NAME = with_check("57098119441122003"), "13911223344", "欧阳锦瑟鸟"
ADDRESS, TOKEN, OPENID = "金丝雀巷 77 号", "CaNaRy0-" + "xY9_" * 8 + "end", "oCaNaRy_0123456789abcdefghiJ"
PLANTED = {
    "planted ID number": ID_NUMBER, "planted phone": PHONE, "planted name": NAME, "planted address": ADDRESS,
    "planted token": TOKEN, "planted openid": OPENID,
}  # fmt: skip

_SHAPES = {
    "shape of a phone": re.compile(r"(?<![0-9A-Za-z])1[3-9]\d{9}(?![0-9A-Za-z])"),
    "shape of an openid": re.compile(r"(?<![\w-])o(?=[\w-]*[A-Z])(?=[\w-]*\d)[A-Za-z0-9_-]{27}(?![\w-])"),
    "shape of a token": re.compile(
        r"(?<![\w/+=-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[A-Za-z0-9_-]{43}(?![\w/+=-])"
    ),
}
# Public halves, certificates and names, which partners send in the open.
_NO_SECRET = (".pub.pem", ".crt", ".serial", ".id", "appid", "mchid", "wx_pub.pem")
_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d{17}[\dXx](?![0-9A-Za-z])")


@dataclass(frozen=True)
class Found:
    """One hit; the value itself is not repeated beyond what is needed to find it."""

    where: str
    what: str
    around: str


class Scanner:
    """Looks for exact values and, where asked, for shapes."""

    def __init__(self, canaries: dict[str, str]) -> None:
        self.canaries = {name: value for name, value in canaries.items() if value}
        for name, value in list(self.canaries.items()):
            if not value.isascii():  # as addresses and careless JSON write it
                self.canaries[f"{name}, percent-encoded"] = quote(value)
                self.canaries[f"{name}, escaped"] = json.dumps(value)[1:-1]
        # Short codes of digits only count where no further digit stands beside them.
        self._exact = [
            (name, re.compile(rf"(?<!\d){re.escape(value)}(?!\d)" if value.isdigit() else re.escape(value)))
            for name, value in self.canaries.items()
        ]

    def scan(self, where: str, text: str, *, shapes: bool = True) -> Iterator[Found]:
        for name, pattern in [*self._exact, *(_SHAPES.items() if shapes else ())]:
            for hit in pattern.finditer(text):
                yield self._found(where, name, text, hit)
        if shapes:
            for hit in _NUMBER.finditer(text):
                if check_is_right(hit[0].upper()):
                    yield self._found(where, "shape of an ID number", text, hit)

    def scan_bytes(self, where: str, data: bytes) -> Iterator[Found]:
        """Raw files: exact values only, as UTF-8."""
        for name, value in self.canaries.items():
            # Six digits turn up in random bytes by chance.
            if len(value.encode()) > 6 and value.encode() in data:
                yield Found(where, name, "")

    @staticmethod
    def _found(where: str, name: str, text: str, hit: re.Match[str]) -> Found:
        return Found(where, name, text[max(0, hit.start() - 120) : hit.end() + 60])


def of(stage: Stage) -> dict[str, str]:
    """Everything secret or personal that this run has produced."""
    known = dict(PLANTED)
    for person in DEMO_PEOPLE:
        known |= {f"ID of {person.key}": person.id_number, f"phone of {person.key}": person.phone}
        known[f"name of {person.key}"] = person.name
    known |= {
        "courier's name": "马邮递", "courier's phone": "13900000101", "other courier's name": "闲等候",
        "agent's name": "白代办", "agent's phone": "13900000102", "agent's password": "demo-agent-2026",
        "courier's password": "demo-courier-2026", "address": "幸福路 8 号", "address without spaces": "幸福路8号",
    }  # fmt: skip
    known |= {f"token {n}": token for n, token in enumerate(sorted(stage.tokens))}
    known |= {f"one-time code {n}": code for n, code in enumerate(sorted(stage.codes))}
    known |= dict(_of_wechat(stage.stack.folder / "sandbox"))
    known |= dict(_secrets(stage.stack.folder, stage.stack.environment))
    return known


def unpublished(known: dict[str, str]) -> dict[str, str]:
    """Without what the checked-in catalogue itself prints as an example, such as an invented telephone number."""
    catalogue = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "backend" / "seed" / "items").glob("*.toml"))
    return {name: value for name, value in known.items() if value not in catalogue}


def _of_wechat(folder: Path) -> Iterator[tuple[str, str]]:
    """Openids, union ids, every session_key there ever was, login codes and WeChat's own access tokens."""
    with sqlite3.connect(f"file:{folder / 'state.sqlite3'}?mode=ro", uri=True) as sandbox:
        bodies = [row[0] for row in sandbox.execute("SELECT body FROM document WHERE partner = 'wechat'")]
        bodies += [row[0] for row in sandbox.execute("SELECT body FROM history WHERE partner = 'wechat'")]
    sandbox.close()
    for name in ("openid", "unionid", "session_key", "code", "access_token", "token"):
        values = {v for body in bodies for v in re.findall(rf'"{name}": ?"([^"]{{16,}})"', body)}
        yield from ((f"WeChat {name} {n}", value) for n, value in enumerate(sorted(values)))


def _secrets(folder: Path, environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What the product and its partners share, and the product's own keys."""
    for path in [*(folder / "secrets").rglob("*"), *(folder / "sandbox" / "keys").rglob("*")]:
        if path.is_file() and not path.name.endswith(_NO_SECRET):
            text = path.read_text(encoding="utf-8", errors="replace").strip()
            lines = [line for line in text.splitlines() if len(line) >= 16 and not line.startswith("-----")]
            yield from ((f"secret file {path.name}:{n}", line) for n, line in enumerate(lines[:3]))
    for name, value in environment.items():
        if re.search(r"SECRET|TOKEN|PASSWORD|APIV3|AES_KEY|SIGN_KEY|AUTHORIZATION", name) and not name.endswith(
            "_FILE"
        ):
            yield f"setting {name}", value


def report(found: Iterable[Found]) -> str:
    """A readable list for a failing test."""
    return "\n".join(f"{hit.what} in {hit.where}: …{hit.around}…" for hit in list(found)[:30])
