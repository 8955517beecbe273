"""A real nginx from Debian's package that runs the shipped configuration; only addresses, log paths and the upstream differ."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.services import _wait_for

SHIPPED = Path(__file__).resolve().parents[1] / "deploy" / "nginx"
_MAIN = """
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error-before-configuration.log;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/zhangshangban.conf;
}}
"""


def _replace(text: str, pattern: str, replacement: str, *, times: int | None = None) -> str:
    """The text with exactly the expected number of replacements: a changed shipped file must not slip through untested."""
    text, found = re.subn(pattern, replacement, text, flags=re.MULTILINE)
    if found == 0 or (times is not None and found != times):
        raise RuntimeError(f"the shipped nginx configuration has {found} places like {pattern}, expected {times}")
    return text


def site(*, folder: Path, port: int, api: str) -> str:
    """deploy/nginx/zhangshangban.conf for this machine: plain HTTP on loopback in place of TLS, our API in place of the sockets."""
    text = (SHIPPED / "zhangshangban.conf").read_text(encoding="utf-8")
    text = _replace(text, r"^ *server unix:/run/zhangshangban/api-2\.sock [^;]*;\n", "", times=1)
    text = _replace(text, r"unix:/run/zhangshangban/api-1\.sock", api, times=1)
    text = _replace(text, r"listen 80;", f"listen 127.0.0.1:{port + 1};", times=1)
    text = _replace(text, r"listen 443 ssl http2;", f"listen 127.0.0.1:{port};", times=1)
    text = _replace(text, r"^ *ssl_[a-z_]+ [^;]*;\n", "")
    return _replace(text, r"/etc/zhangshangban/nginx/", f"{folder}/", times=1)


def locations(*, folder: Path) -> str:
    """deploy/nginx/locations.conf with its logs in our folder."""
    return _replace((SHIPPED / "locations.conf").read_text(encoding="utf-8"), r"/var/log/nginx/", f"{folder}/")


class Nginx:
    """One nginx in front of one API."""

    def __init__(self, *, port: int, api: str) -> None:
        self.port, self.api = port, api
        self.folder = Path(tempfile.mkdtemp(prefix="zsb-nginx-"))
        self.process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def logs(self) -> list[Path]:
        return sorted(self.folder.glob("*.log"))

    def start(self) -> None:
        (self.folder / "zhangshangban.conf").write_text(site(folder=self.folder, port=self.port, api=self.api))
        (self.folder / "locations.conf").write_text(locations(folder=self.folder))
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(_MAIN.format(folder=self.folder, user=user))
        with (self.folder / "start.log").open("ab") as log:
            self.process = subprocess.Popen(
                ["/usr/sbin/nginx", "-p", self.folder, "-c", self.folder / "nginx.conf", "-g", "daemon off;"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _wait_for(self.port, self.process, f"nginx ({self.folder}/start.log)")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        shutil.rmtree(self.folder, ignore_errors=True)

    def written(self, name: str) -> str:
        """A log file's text, after nginx had a moment to write its last line."""
        time.sleep(0.05)
        path = self.folder / name
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
