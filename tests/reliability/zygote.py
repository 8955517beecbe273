"""`python -m tests.reliability.zygote`: imports the product once and forks an API or a worker per order line, so that a start costs a tenth of a second.

Orders on standard input: `start api|worker <log file>` answers the pid, `ended <pid>` answers 1 when it is gone (and reaps it).
Standard input at its end kills every child that is left. A forked child is a process of its own session and runs exactly what
`python -m miniprogram_api` or `python -m backend worker` runs.
"""

import gc
import os
import signal
import sys

from backend.commands import main as run_command
from miniprogram_api.__main__ import main as run_api


def _become(role: str, log: str) -> int:
    """The forked child: nothing of the zygote's pipes stays open in it."""
    os.setsid()
    nothing, written = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.closerange(3, 256)
    return run_api() if role == "api" else run_command(["worker"])


def _start(role: str, log: str) -> int:
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            code = _become(role, log)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)
    return pid


def main() -> None:
    gc.freeze()
    children: set[int] = set()
    for line in sys.stdin:
        order, _, rest = line.strip().partition(" ")
        if order == "start":
            role, _, log = rest.partition(" ")
            answer = _start(role, log)
            children.add(answer)
        else:
            pid = int(rest)
            answer = 0 if pid in children and os.waitpid(pid, os.WNOHANG)[0] == 0 else 1
            if answer:
                children.discard(pid)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
