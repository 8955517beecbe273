"""Files with keys: read once, with the name of their setting in every complaint and nothing of their content."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from payments.gateways import rsa_keys

_T = TypeVar("_T")


def private_bytes(path: Path, name: str) -> bytes:
    """A file that nobody else may read. Raises ValueError."""
    try:
        if path.stat().st_mode & 0o007:
            raise ValueError(f"{name} 指向的文件对其他用户开放，请执行 chmod o= {path}")
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{name} 读不到（{error.strerror}）") from None


def public_bytes(path: Path, name: str) -> bytes:
    """A file that everybody may read. Raises ValueError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{name} 读不到（{error.strerror}）") from None


def refusal(load: Callable[[], object]) -> str:
    """Why something cannot be loaded, or ""."""
    try:
        load()
    except ValueError as error:
        return str(error)
    return ""


def named(name: str, load: Callable[[], _T]) -> _T:
    """What a file holds; if it is no usable key the complaint names the setting. Raises ValueError."""
    try:
        return load()
    except rsa_keys.UnusableKey as error:
        raise ValueError(f"{name} {error}") from None
