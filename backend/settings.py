"""Settings of the worker process."""

from dataclasses import dataclass

from kernel.config import setting


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """How much one worker takes on and how long it holds a row."""

    lease_seconds: float = setting(
        "WORKER_LEASE_SECONDS",
        help="后台任务的租约秒数：进程消失后，多久由别的进程接手",
        default=30.0,
        minimum=2,
        maximum=600,
    )
    capacity: int = setting("WORKER_CAPACITY", help="一个后台进程同时处理的任务数", default=16, minimum=1, maximum=256)
    grace_seconds: float = setting(
        "WORKER_GRACE_SECONDS", help="停止时等待任务自然结束的秒数", default=20.0, minimum=0, maximum=300
    )
