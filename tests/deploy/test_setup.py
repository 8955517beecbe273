"""deploy/setup.sh on machines where something is missing, and deploy/test.sh's honesty; commands of the system are stood in for."""

import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local.processes import ROOT

_TOOLS = ("bash", "dirname", "cut", "cat", "grep", "mkdir", "chmod", "rm", "tail", "env", "touch", "sleep", "mv", "ls")


class Place:
    """A checkout on a machine that has only the tools we give it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin = folder / "checkout", folder / "bin"
        (self.root / "deploy").mkdir(parents=True)
        self.bin.mkdir()
        for script in ("setup.sh", "test.sh"):
            shutil.copy(ROOT / "deploy" / script, self.root / "deploy" / script)
        for lock in ("requirements.txt", "requirements-dev.txt"):
            shutil.copy(ROOT / lock, self.root / lock)
        for tool in (*_TOOLS, "sha256sum"):
            (self.bin / tool).symlink_to(shutil.which(tool))

    def command(self, name: str, script: str, folder: Path | None = None) -> None:
        path = (folder or self.bin) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!{shutil.which('bash')}\n{script}\n")
        path.chmod(0o755)

    def run(self, script: str, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [self.root / "deploy" / script, *arguments], env={"PATH": str(self.bin), "HOME": str(self.root)},
            check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stdout


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


_NO_VENV = 'case "$*" in *version_info*) exit 0;; *"-m venv"*) mkdir -p .venv/bin; echo "ensurepip is not available" >&2; exit 1;; esac'


def test_without_python_a_person_who_is_not_root_is_told_what_to_install(place):
    place.command("id", "echo 1000")
    code, text = place.run("setup.sh", "run")
    assert code == 1
    assert "apt-get install -y python3 python3-venv" in text


def test_a_python_that_is_too_old_is_said_so(place):
    place.command("id", "echo 0")
    place.command("apt-get", "exit 0")
    place.command("python3", "exit 1")
    code, text = place.run("setup.sh", "run")
    assert code == 1
    assert "3.11" in text


def test_without_the_venv_module_a_person_who_is_not_root_is_told_what_to_install(place):
    place.command("id", "echo 1000")
    place.command("python3", _NO_VENV)
    code, text = place.run("setup.sh", "run")
    assert code == 1
    assert "apt-get install -y python3-venv" in text
    assert not (place.root / ".venv").exists()


def test_without_the_venv_module_root_gets_it_installed_and_a_failure_is_explained(place):
    place.command("id", "echo 0")
    place.command("python3", _NO_VENV)
    place.command("apt-get", "echo 'E: Unable to locate package' >&2; exit 100")
    code, text = place.run("setup.sh", "run")
    assert code == 1
    assert "Unable to locate package" in text
    assert "setup.log" in text


def test_a_failed_installation_is_explained_and_tried_again_next_time(place):
    place.command("python3", "exit 0")
    place.command("pip", "echo 'no route to index' >&2; exit 1", place.root / ".venv" / "bin")
    code, text = place.run("setup.sh", "run")
    assert code == 1
    assert "依赖安装失败" in text
    assert not (place.root / ".venv" / ".stamp").exists()
    place.command("pip", "exit 0", place.root / ".venv" / "bin")
    assert place.run("setup.sh", "run")[0] == 0
    place.command("pip", "exit 1", place.root / ".venv" / "bin")
    assert place.run("setup.sh", "run") == (0, ""), "nothing changed: nothing is installed and nothing is said"


@pytest.mark.parametrize("bad", ["", "sqlite", "postgres"])
def test_the_exit_code_of_the_tests_is_honest_and_both_closing_lines_are_shown(place, bad):
    suite = f'sleep 0.1; echo "7 passed on $TEST_ENGINE"; [ "$TEST_ENGINE" != "{bad}" ]'
    place.command("python", suite, place.root / ".venv" / "bin")
    code, text = place.run("test.sh")
    assert code == (1 if bad else 0)
    assert [line for line in text.splitlines() if line] == [
        "== SQLite ==", "7 passed on sqlite", "== PostgreSQL + Redis ==", "7 passed on postgres",
    ]  # fmt: skip
