"""Development secrets: made once in an ignored folder, readable by the owner only. Production brings its own."""

import base64
import os
import secrets
from pathlib import Path


def prepare(folder: Path) -> dict[str, str]:
    """Creates what is missing and answers the settings that point at the files."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    makers = {
        "FIELD_KEYS": lambda: "dev1:" + _key(),
        "BLIND_INDEX_KEY": _key,
        "DELIVERY_KEY": _key,
    }
    settings = {}
    for name, make in makers.items():
        path = folder / name.lower()
        if not path.exists():
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(make() + "\n")
        settings[f"{name}_FILE"] = str(path)
    return settings


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
