"""Commands that run or examine the product: the worker and `doctor`."""

import argparse
import asyncio
import signal

import structlog

from backend import readiness, starting, wiring
from backend.commands.terminal import Commands, opened, say
from backend.settings import WorkerSettings
from kernel import config, db, logs, metrics
from kernel.worker import Worker

_log = structlog.get_logger("worker")


async def run_worker(arguments: argparse.Namespace) -> None:
    """Works the outbox until SIGTERM; waits for the database instead of giving up."""
    settings, log, measure = config.load(WorkerSettings, logs.LogSettings, metrics.MetricsSettings)
    values = wiring.load_settings()
    logs.configure(log, process="worker")
    await starting.patiently(values)
    worker = Worker(
        topics=wiring.topics(),
        subscriptions=wiring.subscriptions(),
        recurring=wiring.recurring(),
        lease_seconds=settings.lease_seconds,
        capacity=settings.capacity,
    )
    listener = None
    try:
        listener = await metrics.listen(measure)
        for sign in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sign, worker.stop)
        _log.info("worker started", engine=db.engine())
        await worker.run()
        await worker.drain(settings.grace_seconds)
    finally:
        if listener is not None:
            listener.close()
        await wiring.stop()
        _log.info("worker stopped")


async def run_doctor(arguments: argparse.Namespace) -> int:
    """Says what is mis-configured and what cannot be reached; exit code 1 when something is wrong."""
    wrong = 0
    async with opened("doctor"):
        for name, state in (await readiness.examination()).items():
            wrong += state != "ok"
            say(f"{'✓' if state == 'ok' else '✗'} {name}：{'正常' if state == 'ok' else state}")
    say("一切正常" if not wrong else f"有 {wrong} 处需要处理")
    return 1 if wrong else 0


def add(commands: Commands) -> None:
    """Declares the commands of this module."""
    commands.add_parser("worker", help="运行后台任务（发送、回调处理、定时任务）").set_defaults(run=run_worker)
    commands.add_parser("doctor", help="检查配置和各合作方是否连得上").set_defaults(run=run_doctor)
