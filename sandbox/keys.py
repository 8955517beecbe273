"""Key folders: secrets and key pairs a partner makes for itself on first start, readable by the owner only."""

import os
import secrets
import string
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ALPHANUMERIC = string.ascii_letters + string.digits


class KeyFolder:
    """`<run-folder>/keys/<partner>`; the folder is 0700 and every file 0600. `reset` never touches it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, name: str) -> Path:
        """Absolute path of a key file, whether it exists or not."""
        return (self.folder / name).resolve()

    def write(self, name: str, content: bytes | str) -> Path:
        """Write a file completely or not at all, with mode 0600."""
        path = self.path(name)
        spare = path.with_name(path.name + ".new")
        spare.unlink(missing_ok=True)
        with os.fdopen(os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
        spare.replace(path)
        return path

    def bytes(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The file's content; made by `make` on first use."""
        path = self.path(name)
        if not path.exists():
            self.write(name, make())
        return path.read_bytes()

    def text(self, name: str, make: Callable[[], str]) -> str:
        """Same for text."""
        return self.bytes(name, lambda: make().encode()).decode()

    def secret(self, name: str, length: int = 32, alphabet: str = ALPHANUMERIC) -> str:
        """A random secret of exactly `length` characters, made once."""
        return self.text(name, lambda: "".join(secrets.choice(alphabet) for _ in range(length)))

    def rsa(self, name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
        """A key pair made once: `<name>.p8.pem` (PKCS#8), `<name>.p1.pem` (PKCS#1) and `<name>.pub.pem`."""
        path = self.path(f"{name}.p8.pem")
        if not path.exists():
            made = rsa.generate_private_key(public_exponent=65537, key_size=bits)
            pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
            public = made.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
            self.write(f"{name}.pub.pem", public)
            old = made.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain)
            self.write(f"{name}.p1.pem", old)
            self.write(f"{name}.p8.pem", made.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
        # We made the file ourselves: checking its primes again would cost 30 ms at every start.
        key = serialization.load_pem_private_key(path.read_bytes(), password=None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"{path.name} 不是 RSA 私钥")
        return key
