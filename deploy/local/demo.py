"""`make demo`: plays the whole journey over HTTP against the running product and prints the finished timeline."""

import asyncio
import sys
import time

import aiohttp

from deploy.local.people import Cast, Unexpected
from deploy.local.processes import ROOT, StartFailed, inherited, is_taken, port, python, read_environment, run_folder
from deploy.local.story import Story

_STEPS = 14


def say(text: str) -> None:
    """One line to the person at the terminal."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def give_parcel(waybill_no: str, courier_login: str) -> None:
    """What the dispatcher types when several couriers cover the place. Raises Unexpected with the command's own words."""
    environment = run_folder() / "environment"
    if not environment.exists():
        raise Unexpected(f"没有 {environment}：请重新执行 make run，再试一次")
    process = await asyncio.create_subprocess_exec(
        *python("-m", "backend", "parcels", "assign", waybill_no, courier_login, "--clerk", "演示"), cwd=ROOT,
        env=inherited() | read_environment(environment), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output = (await process.communicate())[0].decode(errors="replace").strip()
    if process.returncode != 0:
        raise Unexpected(f"包裹 {waybill_no} 不能分配给 {courier_login}：{output}")


async def main() -> int:
    """Exit code 1 when the product does not run or the story stops."""
    try:
        api_port, sandbox_port = port("API_PORT", 8000), port("SANDBOX_PORT", 18100)
    except StartFailed as error:
        say(f"✗ {error}")
        return 2
    if not is_taken(api_port) or not is_taken(sandbox_port):
        say("产品还没有启动：请先在另一个终端执行 make run，看到“掌上办已就绪”后再试")
        return 1
    began, done = time.monotonic(), 0
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        story = Story(
            Cast(session, f"http://127.0.0.1:{api_port}", sandbox_port),
            lambda text: say(f"  [{done + 1:>2}/{_STEPS}] {text}"),
            dispatch=give_parcel,
        )
        say("演示：补办老年人优待证——从登录到证件到手\n")
        try:
            async for _ in story.play():
                done += 1
            lines = await story.timeline()
        except Unexpected as error:
            say(f"\n✗ 演示中断：{error}\n  日志在 .run/logs/")
            return 1
    say(f"\n办件 {story.case_no} 的全过程：")
    for line in lines:
        say(
            f"  {line['at'][5:16].replace('T', ' ')}  {line['text']}"
            + (f"（{line['detail']}）" if line.get("detail") else "")
        )
    say(f"\n共缴费 {story.money_paid_fen / 100:.2f} 元，用时 {time.monotonic() - began:.1f} 秒")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
