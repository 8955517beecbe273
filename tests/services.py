"""Real PostgreSQL and Redis from Debian's packages, on free ports and in throw-away folders, started by the tests themselves."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path


def free_port() -> int:
    """A free port below those that the system lends to outgoing connections: one of them could take it before we listen."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _as_user(name: str) -> dict:
    """PostgreSQL refuses to run as root; everything else may."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam(name)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _wait_for(port: int, process: subprocess.Popen, what: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended at once with code {process.returncode}")
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"{what} does not listen on {port}")


class Postgres:
    """One cluster in a temporary folder. `durable=True` keeps fsync on, as in production."""

    def __init__(self, *, durable: bool = False) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        if not found:
            raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
        self.bin = found[-1].parent
        self.folder = Path(tempfile.mkdtemp(prefix="zsb-pg-"))
        self.port, self.process = free_port(), None
        self.durable = durable
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
        subprocess.run(
            [
                self.bin / "initdb",
                "-D",
                self.folder / "data",
                "-U",
                "zsb",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-N",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **_as_user("postgres"),
        )
        self.start()

    def start(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "max_connections": 200,
            "shared_buffers": "128MB",
            "log_error_verbosity": "terse",
            "log_parameter_max_length_on_error": 0,
        }
        if not self.durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.folder / "data", *arguments],
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **_as_user("postgres"),
            )
        _wait_for(self.port, self.process, "PostgreSQL")
        for _ in range(200):  # the port answers before the server accepts sessions
            if self.sql("postgres", "SELECT 1", check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError("PostgreSQL does not accept sessions")

    def sql(self, database: str, text: str, *, check: bool = True) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.bin / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "zsb", "-d", database, "-Atqc", text],
            check=check,
            capture_output=True,
            text=True,
            cwd="/",
        )

    def url(self, database: str) -> str:
        return f"postgres://zsb@127.0.0.1:{self.port}/{database}"

    def halt(self) -> None:
        """An orderly stop: every session is ended, nothing is lost; `start` brings it back."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)

    def crash(self) -> None:
        """What a power-less moment does to the server: no farewell to anybody."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.crash()
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis:
    """A Redis that keeps nothing."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="zsb-redis-"))
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                str(self.folder),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _wait_for(self.port, self.process, "Redis")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)
