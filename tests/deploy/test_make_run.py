"""`make run` on somebody's machine: it starts, says what is wrong, and however it is stopped, nothing stays behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.local.processes import ROOT, Managed, is_taken
from tests.conftest import ENGINE
from tests.journeys.stack import free_block

pytestmark = pytest.mark.filterwarnings("error")


class Terminal:
    """A shell in which somebody typed `make run`."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.first, self.folder = free_block(), folder
        self.output = folder / "output.txt"
        ports = {"API_PORT": str(self.first), "SANDBOX_PORT": str(self.first + 1), "RUN_FOLDER": str(folder / "run")}
        with self.output.open("w") as out:
            self.make = subprocess.Popen(
                ["make", "run"], cwd=ROOT, env=_clean() | ports | settings, stdin=subprocess.DEVNULL, stdout=out,
                stderr=out, start_new_session=True,
            )  # fmt: skip

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def until(self, text: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.text():
            assert self.make.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)

    def until_partners(self) -> None:
        deadline = time.monotonic() + 40
        while not is_taken(self.first + 1):
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.02)

    def left(self) -> list[str]:
        """Processes of this run that are still there: all of them know its folder or its ports."""
        return [command for pid, command in _processes(str(self.folder)) if pid != os.getpid()]

    def until_gone(self, seconds: float = 12) -> None:
        deadline = time.monotonic() + seconds
        while left := self.left():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)


def _clean() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR")}


def zsb(folder: Path, arguments: str) -> tuple[int, str]:
    """An operator's command in a second terminal."""
    ended = subprocess.run(
        ["make", "zsb", f"ARGS={arguments}"], cwd=ROOT, env=_clean() | {"RUN_FOLDER": str(folder)}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout


def _processes(mark: str) -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes().decode(errors="replace")
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if command and mark in environment + command:
                found.append((int(entry.name), command))
    return found


@pytest.fixture
def terminal(tmp_path):
    opened = []

    def start(**settings: str) -> Terminal:
        opened.append(Terminal(tmp_path, **settings))
        return opened[-1]

    yield start
    for one in opened:
        for pid, _ in _processes(str(one.folder)):
            if pid != os.getpid():
                os.kill(pid, signal.SIGKILL)
        one.make.wait(10)


def only_once() -> bool:
    """`make run` has a database of its own: what the second engine would see is the same."""
    return ENGINE == "sqlite"


def test_it_starts_and_ctrl_c_ends_every_process_in_order(terminal):
    if not only_once():
        return
    run = terminal()
    run.until("掌上办已就绪")
    os.killpg(run.make.pid, signal.SIGINT)  # what a terminal does
    run.make.wait(20)
    run.until_gone(1)
    text = run.text()
    assert "已停止" in text
    assert "Traceback" not in text
    for log in (run.folder / "run" / "logs").iterdir():
        assert "Traceback" not in log.read_text(encoding="utf-8"), log


def test_an_operators_command_finds_the_local_run(terminal):
    """Same database, keys and partners as the running product, and the file that tells them is nobody else's."""
    if not only_once():
        return
    run = terminal()
    run.until("按 Ctrl-C 停止")
    assert 'make zsb ARGS="doctor"' in run.text()
    environment = run.folder / "run" / "environment"
    assert environment.stat().st_mode & 0o777 == 0o600
    code, text = zsb(run.folder / "run", "doctor")
    assert code == 0, text
    assert "一切正常" in text
    assert "没有等待处理" in zsb(run.folder / "run", "parked")[1]
    code, text = zsb(run.folder / "run", "courier create far.away --name 远方 --areas 110101,620981")
    assert code != 0
    assert "110101 不在本县范围内" in text
    # Now two couriers cover the place, and the demo needs a dispatcher.
    code, text = zsb(run.folder / "run", "courier create li.qiang --name '李强' --areas 620981")
    assert code == 0, text
    assert "已建立快递员 李" in text
    ports = {"API_PORT": str(run.first), "SANDBOX_PORT": str(run.first + 1), "RUN_FOLDER": str(run.folder / "run")}
    played = subprocess.run(
        ["make", "demo"], cwd=ROOT, env=_clean() | ports, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90, check=False,
    )  # fmt: skip
    assert played.returncode == 0, played.stdout
    told = played.stdout.split("的全过程：")[1]
    assert told.index("邮件离开") < told.index("投递员正在派送") < told.index("邮件正在派送"), told


def test_an_operators_command_before_any_run_says_what_to_do(tmp_path):
    if not only_once():
        return
    code, text = zsb(tmp_path / "never", "doctor")
    assert code != 0
    assert "请先执行一次 make run" in text


@pytest.mark.parametrize("ending", ["ctrl-c", "closed terminal", "killed make", "killed run"])
def test_nothing_stays_behind_when_it_is_ended_while_it_starts(terminal, ending):
    if not only_once():
        return
    run = terminal()
    run.until_partners()
    began = time.monotonic()
    if ending == "killed run":
        (runner,) = [
            pid
            for pid, command in _processes(str(run.folder))
            if "deploy.local.run" in command and "make" not in command
        ]
        os.kill(runner, signal.SIGKILL)
    elif ending == "killed make":
        os.kill(run.make.pid, signal.SIGTERM)
    else:
        os.killpg(run.make.pid, signal.SIGINT if ending == "ctrl-c" else signal.SIGHUP)
    run.make.wait(20)
    run.until_gone()
    assert time.monotonic() - began < 8
    assert "Traceback" not in run.text()


@pytest.mark.parametrize(("name", "value"), [("API_PORT", "abc"), ("SANDBOX_PORT", "70000")])
def test_a_port_that_is_none_is_named(terminal, name, value):
    if not only_once():
        return
    run = terminal(**{name: value})
    assert run.make.wait(20) != 0
    assert f"{name}={value}" in run.text()
    assert "Traceback" not in run.text()


def test_a_port_that_is_taken_is_named_with_the_way_out(terminal):
    if not only_once():
        return
    holder = subprocess.Popen(
        [sys.executable, "-c", "import socket,sys,time; s=socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(60)", str(port := free_block())],
    )  # fmt: skip
    try:
        while not is_taken(port):
            time.sleep(0.02)
        run = terminal(API_PORT=str(port))
        assert run.make.wait(20) != 0
    finally:
        holder.kill()
        holder.wait()
    text = run.text()
    assert f"端口 {port} 已被占用" in text
    assert "API_PORT=" in text
    assert "Traceback" not in text


def test_a_port_among_the_sandbox_s_own_is_refused_at_once(terminal):
    if not only_once():
        return
    run = terminal(API_PORT="18103", SANDBOX_PORT="18100")
    assert run.make.wait(20) != 0
    assert "API_PORT=18103 落在沙箱要用的端口 18100 到 18108 里" in run.text()
    assert "启动沙箱" not in run.text()


def test_a_folder_that_is_a_file_is_named(terminal, tmp_path):
    if not only_once():
        return
    (tmp_path / "occupied").write_text("mine")
    run = terminal(RUN_FOLDER=str(tmp_path / "occupied"))
    assert run.make.wait(20) != 0
    assert f"不能在 {tmp_path / 'occupied'} 里建立运行数据" in run.text()
    assert "Traceback" not in run.text()


async def test_last_words_are_those_of_this_start(tmp_path):
    log = tmp_path / "child.log"
    log.write_text("words of yesterday\n")
    child = Managed("子进程", [sys.executable, "-c", "print('words of today')"], _clean(), log)
    await child.start()
    await child.wait()
    assert "today" in child.last_words()
    assert "yesterday" not in child.last_words()
