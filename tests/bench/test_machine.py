"""What is read from the operating system: a child's work counts, also after its end, and strangers are seen."""

import os
import subprocess
import sys
import time

from bench import machine

_BUSY = "import time; t=time.process_time()\nwhile time.process_time()-t<0.3: pass"


def test_the_work_of_a_child_counts_while_it_lives_and_after_its_end():
    before = machine.cpu_us(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", _BUSY])
    assert child.pid in machine.tree(os.getpid())
    child.wait()
    assert machine.cpu_us(os.getpid()) - before >= 250_000


def test_strangers_are_what_is_busy_beside_us():
    before, mine = machine.busy(), machine.cpu_us(os.getpid())
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", _BUSY], check=True)
    while time.monotonic() - began < 0.4:
        time.sleep(0.05)
    after, ours = machine.busy(), machine.cpu_us(os.getpid()) - mine
    share = machine.strangers(before, after, ours)
    assert 0.0 <= share <= 1.0
    assert machine.strangers(before, after, 0) > share, "what we do not claim was done by others"


def test_memory_and_pinning():
    assert machine.pss_kb(os.getpid()) > 1000
    server, other = machine.cpus()
    assert {server, other} <= os.sched_getaffinity(0)
    done = subprocess.run(
        machine.pinned(other, [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"]),
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout.strip() == str({other})
