"""Peers: small, honest programs of other frameworks doing the same work on the same rows. This module finds and prepares them."""

import hashlib
import subprocess
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
OUT = FOLDER.parent / "out"
REQUIREMENTS = FOLDER.parent / "requirements-peers.txt"


class Missing(Exception):
    """A peer cannot be had here; the text says what it needs."""


@dataclass(frozen=True)
class Peer:
    """One program to compare with."""

    name: str
    title: str
    folder: Path
    start: tuple[str, ...]
    needs: tuple[str, ...]
    scenarios: tuple[str, ...]
    notes: str

    def command(self, port: int) -> list[str]:
        """Its command line on a port."""
        return [str(python()), *(part.format(port=port) for part in self.start)]


def python() -> Path:
    """The interpreter of the peers' own environment."""
    return OUT / "peers" / "bin" / "python"


def known() -> list[Peer]:
    """Every peer that is described."""
    found = []
    for path in sorted(FOLDER.glob("*/peer.toml")):
        told = tomllib.loads(path.read_text(encoding="utf-8"))
        told |= {"folder": path.parent} | {name: tuple(told[name]) for name in ("start", "needs", "scenarios")}
        found.append(Peer(**told))
    return found


def prepare(peer: Peer) -> None:
    """Makes sure the peer's packages are there, installing them once into bench/out. Raises Missing."""
    text = REQUIREMENTS.read_bytes()
    stamp = OUT / "peers" / ".installed"
    wanted = hashlib.sha256(text).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        OUT.mkdir(exist_ok=True)
        if not python().exists():
            venv.create(OUT / "peers", with_pip=True)
        command = [str(python()), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode != 0:
            raise Missing("needs " + ", ".join(peer.needs))
        stamp.write_text(wanted)
    check = "import " + ", ".join(peer.needs)
    if subprocess.run([str(python()), "-c", check], capture_output=True, check=False).returncode != 0:
        raise Missing("needs " + ", ".join(peer.needs))
