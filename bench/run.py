"""One benchmark run: start everything, check the contract, warm up, interleave the rounds, audit, judge, print."""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from bench import contract, data, database, judge, load, machine, notices, peers, report
from bench.product import Product, start_pinned
from deploy.local.processes import Managed, python
from kernel import config, crypto
from tests.journeys.stack import free_block

OUT = Path(__file__).parent / "out"
RESULTS = Path(__file__).parent / "results"
SCENARIOS = ("status", "overview", "list", "guide", "items", "submit", "notice", "notice_again")
PGBENCH = {"status": ("status",), "list": ("list",), "submit": ("submit_transaction", "submit_statement"),
           "notice": ("notice_transaction", "notice_statement")}  # fmt: skip
WRITES = ("submit", "notice")
CRYPTO = "crypto"  # a floor of its own: signature, cipher, JSON
GUIDE, ITEMS = "/api/v1/items/YM-YDZ-BB", "/api/v1/items?region=620981"
CONNECTIONS, DATABASE = 32, "bench"


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int = 3
    seconds: float = 3.0
    warm_seconds: float = 0.7
    people: int = 5000
    submissions: int = 1500
    with_peers: bool = True
    with_pgbench: bool = True
    scenarios: tuple[str, ...] = SCENARIOS
    slack: float = 0.0

    @property
    def drafts(self) -> int:
        """Enough for every server's rounds and warm-ups."""
        return (self.submissions + 200) * self.rounds * 5 + 2000

    @property
    def bills(self) -> int:
        """The same for notices; the floors settle nothing."""
        return (self.submissions + 200) * self.rounds * 4 + 100 if "notice" in self.scenarios else 100


@dataclass
class Server:
    """Something that answers HTTP and is being measured."""

    name: str
    port: int
    pid: int
    scenarios: tuple[str, ...]
    keeps: bool  # whether its submissions land in the database


@dataclass
class Bench:
    """Everything that was started for one run, and what it measured."""

    plan: Plan
    folder: Path
    stack: contextlib.AsyncExitStack
    server_cpu: int = 0
    other_cpu: int = 0
    servers: list[Server] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    acknowledged: int = 0
    rounds: judge.Rounds = field(default_factory=dict)
    ours_us: int = 0

    # -- starting ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """The database with its county, the product, the floor, the peers."""
        self.server_cpu, self.other_cpu = machine.cpus()
        os.sched_setaffinity(0, {self.other_cpu})  # the database inherits it
        self.postgres = database.Durable()
        self.stack.callback(self.postgres.stop)
        self.postgres.sql("postgres", f"CREATE DATABASE {DATABASE}")
        self.product = Product(self.folder, self.postgres.url(DATABASE))
        self.stack.push_async_callback(self.product.stop)
        await self.product.prepare()
        self.till = notices.Till(self.folder)
        self.product.environment |= self.till.environment(self.product.environment)
        (keys,) = config.load(crypto.CryptoSettings, environ=self.product.environment)
        crypto.configure(keys)
        self.connection = await asyncpg.connect(self.postgres.url(DATABASE))
        self.stack.push_async_callback(self.connection.close)
        say(f"建立 {self.plan.people * data.PER_PERSON} 件库存办件和 {self.plan.drafts} 份草稿")
        self.county = await data.fill(self.connection, people=self.plan.people, drafts=self.plan.drafts)
        await database.remember_owners(self.connection, self.county)
        await notices.fill(self.connection, self.county, self.till, self.plan.bills)
        await self.connection.execute("CHECKPOINT")
        await self.product.start_api(self.server_cpu)
        self.servers.append(Server(judge.OURS, self.product.api_port, self.product.api_pid, SCENARIOS, True))
        await self._start_floors()
        if self.plan.with_peers:
            await self._start_peers()
        else:
            self.skipped |= {peer.name: "本次不测同类程序" for peer in peers.known()}

    async def _start_floors(self) -> None:
        """Answers of the same size, taken from the product itself."""
        who, number = self.county.owner(0), data.case_no(0)
        asked = {
            "status": f"/api/v1/cases/{number}/status", "overview": f"/api/v1/cases/{number}", "list": "/api/v1/cases",
            "guide": GUIDE, "items": ITEMS,
        }  # fmt: skip
        answers = {name: await answer_of(self.product.api + path, who.token) for name, path in asked.items()}
        body = json.dumps({"case_no": number, "status": "submitted", "padding": "x" * 110})
        answers["submit"] = {"body": body, "headers": answers["status"]["headers"]}
        answers["notice"] = answers["notice_again"] = {
            "body": "",
            "headers": answers["status"]["headers"],
            "status": 204,
        }
        path = self.folder / "floor.json"
        path.write_text(json.dumps(answers), encoding="utf-8")
        port = free_block(1)
        await self._serve("floor", python("-m", "bench.floors", str(port), str(path)), {}, port, SCENARIOS, keeps=False)
        secret, port = self.folder / "notice_secret", free_block(1)
        secret.write_bytes(self.till.api_v3_key)
        command = python("-m", "bench.cryptofloor", str(port), str(self.till.public_file), str(secret))
        await self._serve(CRYPTO, command, {}, port, ("notice",), keeps=False)

    async def _start_peers(self) -> None:
        for peer in peers.known():
            try:
                peers.prepare(peer)
                port = free_block(1)
                url = self.postgres.url(DATABASE).replace("postgres:", "postgresql+asyncpg:")
                environment = {
                    "PEER_DATABASE_URL": url, "PYTHONPATH": str(peer.folder), "PEER_NOTICE_KEY": str(self.till.public_file),
                    "PEER_NOTICE_SECRET": self.till.api_v3_key.decode(),
                }  # fmt: skip
                await self._serve(peer.name, peer.command(port), environment, port, peer.scenarios, keeps=True)
            except (peers.Missing, Exception) as error:  # a peer that cannot start is said so and never fails the run
                self.skipped[peer.name] = str(error).splitlines()[0][:200]

    async def _serve(
        self, name: str, command: list[str], more: dict[str, str], port: int, scenarios: tuple[str, ...], *, keeps: bool
    ) -> None:
        environment = {**self.product.base_environment(), **more}
        child: Managed = await start_pinned(
            name, self.server_cpu, command, environment, self.folder / "logs" / f"{name}.log", port
        )
        self.stack.push_async_callback(child.stop)
        assert child.process is not None
        self.servers.append(Server(name, port, child.process.pid, scenarios, keeps))

    async def check(self) -> None:
        """The contract: whoever breaks it is not timed, and if that is us, the run ends."""
        truth: dict[str, Any] = {}
        for server in [s for s in self.servers if s.keeps]:
            try:
                base = f"http://127.0.0.1:{server.port}"
                self.acknowledged += await contract.check(server.name, base, self.county, server.scenarios, truth)
                if "notice" in self.plan.scenarios and "notice" in server.scenarios:
                    self.till.acknowledged += await contract.notices(server.name, base, self.till)
            except contract.Broken as error:
                if server.name == judge.OURS:
                    raise
                self.skipped[server.name] = str(error)
                self.servers.remove(server)

    # -- measuring ---------------------------------------------------------------------------------------------------

    async def measure(self) -> None:
        """All rounds, interleaved: every yardstick of a scenario stands beside us in the same minute."""
        for scenario in self.plan.scenarios:
            say(f"测量 {report.TITLES[scenario]}")
            taken = self.rounds.setdefault(scenario, {})
            for _ in range(self.plan.rounds):
                for server in [s for s in self.servers if scenario in s.scenarios]:
                    taken.setdefault(server.name, []).append(await self._round(server, scenario))
                for script in PGBENCH.get(scenario, ()) if self.plan.with_pgbench else ():
                    name = "pgbench_" + script.removeprefix(f"{scenario}_")
                    taken.setdefault(name, []).append(self._pgbench(script))

    async def _round(self, server: Server, scenario: str) -> dict[str, float]:
        quick = scenario in WRITES and server.name not in (judge.OURS, "floor")
        count = self.plan.submissions // (3 if quick else 1)
        # Every notice of a warm-up arrives: later some of them are repeated.
        warm_seconds = 30.0 if scenario == "notice" else self.plan.warm_seconds
        warm = await load.fire(server.port, self._shots(server, scenario, 150), seconds=warm_seconds)
        before = (machine.cpu_us(server.pid), machine.cpu_us(self.postgres.root))
        result = await load.fire(
            server.port, self._shots(server, scenario, count), seconds=self._seconds(scenario, server)
        )
        after = (machine.cpu_us(server.pid), machine.cpu_us(self.postgres.root))
        self._acknowledged(server, scenario, warm.done + result.done)
        if result.errors + warm.errors:
            self.violations.append(
                f"{server.name} {scenario}：{result.errors + warm.errors} 个错误 {result.complaints[:1]}"
            )
        done = max(result.done, 1)
        return {
            "rps": result.rps, "p50": result.percentile_ms(0.5), "p99": result.percentile_ms(0.99), "done": result.done,
            "server_us": (after[0] - before[0]) / done, "database_us": (after[1] - before[1]) / done,
            "pss_mb": machine.pss_kb(server.pid) / 1024, "bytes": result.received / done, "errors": result.errors,
        }  # fmt: skip

    def _acknowledged(self, server: Server, scenario: str, done: int) -> None:
        if scenario == "submit" and server.keeps:
            self.acknowledged += done
        if scenario == "notice" and server.keeps:
            self.till.acknowledged += done

    def _seconds(self, scenario: str, server: Server) -> float:
        # Writes end with what was prepared for them, and everything once signed within its five minutes.
        return 60.0 if scenario.startswith("notice") or (scenario == "submit" and server.keeps) else self.plan.seconds

    def _pgbench(self, script: str) -> dict[str, float]:
        first, span = 0, 0
        if script.startswith(WRITES):
            span = self.plan.submissions // database.CLIENTS
            source = self.county.reserve if script.startswith("submit") else self.till.take
            first = source(span * database.CLIENTS)
        before = machine.cpu_us(self.postgres.root)
        found = database.pgbench(
            self.postgres,
            DATABASE,
            script,
            self.other_cpu,
            self.county,
            seconds=self.plan.seconds,
            first=first,
            span=span,
        )
        found["database_us"] = (machine.cpu_us(self.postgres.root) - before) / max(found["done"], 1)
        if script.startswith("submit"):
            self.acknowledged += int(found["done"])
        if script.startswith("notice"):
            self.till.acknowledged += int(found["done"])
        return found

    def _shots(self, server: Server, scenario: str, count: int) -> Iterator[load.Shot]:
        if scenario == "submit":
            numbers = self.county.take(count) if server.keeps else iter(lambda: data.DRAFT_BASE, None)
            return (self._submission(server.port, number) for number in numbers)
        if scenario.startswith("notice"):
            return iter(self.till.shots(server.port, self._noticed(server, scenario, count)))
        return _reads(scenario, server.port, self.county, memory=not server.keeps)

    def _noticed(self, server: Server, scenario: str, count: int) -> list[int]:
        """Bills nobody has paid, or for repeated notices those that this server has settled."""
        settled = self.till.settled_by.setdefault(server.name, [])
        if not server.keeps:
            return [0] * count
        if scenario == "notice_again":
            return [settled[n % len(settled)] for n in range(count)]
        first = self.till.take(count)
        settled.extend(range(first, first + count))
        return list(range(first, first + count))

    def _submission(self, port: int, number: int) -> load.Shot:
        no, who = data.case_no(number), self.county.owner(number)
        body = self.county.submission(number)
        shot = load.request(
            "POST", f"/api/v1/cases/{no}/submission", port=port, token=who.token, body=body, key=f"bench-{number}"
        )
        return shot, b'"status":"submitted"' if port == self.product.api_port else b"submitted"


def _reads(scenario: str, port: int, county: data.County, *, memory: bool) -> Iterator[load.Shot]:
    """An endless stream of reads of random people, made before the clock starts."""
    chance = random.Random(scenario)
    made: list[load.Shot] = []
    for _ in range(4000):
        number = chance.randrange(county.stored)
        who, no = county.owner(number), data.case_no(number)
        path, token, expected = {
            "status": (f"/api/v1/cases/{no}/status", who.token, no.encode()),
            "overview": (f"/api/v1/cases/{no}", who.token, b'"next_action"'),
            "list": ("/api/v1/cases", who.token, b'"items":['),
            "guide": (GUIDE, None, b"YM-YDZ-BB"),
            "items": (ITEMS, None, b'"items":['),
        }[scenario]
        made.append((load.request("GET", path, port=port, token=token), b"" if memory else expected))
    while True:
        yield from made


async def answer_of(url: str, token: str) -> dict[str, Any]:
    """One answer of the product, for the floor to repeat byte for byte."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        framing = ("content-length", "connection", "content-type")
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in framing}
        return {"body": await answer.text(), "headers": kept}


def say(text: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"· {text}\n")
    sys.stderr.flush()


async def run(plan: Plan) -> tuple[dict[str, Any], list[judge.Verdict]]:
    """The whole run: what was found, and the verdicts."""
    folder = OUT / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    async with contextlib.AsyncExitStack() as stack:
        bench = Bench(plan, folder, stack)
        say("启动数据库和本品")
        await bench.start()
        await bench.check()
        mine = machine.cpu_us(os.getpid())
        before = machine.busy()
        await bench.measure()
        share = machine.strangers(before, machine.busy(), machine.cpu_us(os.getpid()) - mine)
        audit = await database.audit(bench.connection, bench.acknowledged)
        paid = await notices.audit(bench.connection, bench.till.acknowledged)
        bench.violations += [f"{name}：{text}" for name, text in {**audit["violations"], **paid["violations"]}.items()]
        version = await bench.connection.fetchval("SELECT split_part(version(), ' (', 1)")
        fsync = await bench.connection.fetchval("SHOW fsync")
        table = judge.medians(bench.rounds)
        verdicts = judge.judge(
            table, [g for g in judge.goals() if g["scenario"] in plan.scenarios], strangers=share, slack=plan.slack
        )
        return {
            "at": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "machine": machine.describe(), "strangers": round(share, 3),
            "database": {"version": version, "fsync": fsync}, "stored": bench.county.stored, "rounds": plan.rounds,
            "connections": CONNECTIONS, "median": table, "all_rounds": bench.rounds, "skipped": bench.skipped,
            "violations": bench.violations, "audit": audit, "paid": paid, "goals": [vars(v) for v in verdicts],
        }, verdicts  # fmt: skip


def plan_of(arguments: argparse.Namespace) -> Plan:
    """What the command line asks for."""
    chosen = tuple(arguments.only.split(",")) if arguments.only else SCENARIOS
    if arguments.quick:
        return Plan(
            seconds=2.0, people=1000, submissions=600, with_peers=False, scenarios=chosen, slack=judge.QUICK_SLACK
        )
    return Plan(rounds=arguments.rounds, scenarios=chosen)


def main(arguments: list[str], *, runner: Callable[[Plan], Any] = run) -> int:
    """`python -m bench`: exit status 1 when a judged goal is missed or anything was answered or stored wrongly."""
    parser = argparse.ArgumentParser(prog="bench", description="性能基准：本品与基线在同一次运行里比较")
    parser.add_argument("--quick", action="store_true", help="约 90 秒：只比地板和 pgbench，目标放宽四分之一")
    parser.add_argument("--json", type=Path, help="把结果写入这个文件")
    parser.add_argument("--record", action="store_true", help="把结果记入 bench/results/")
    parser.add_argument("--only", help="只测这些项目，逗号分开：" + ",".join(SCENARIOS))
    parser.add_argument("--rounds", type=int, default=3, help="轮数，默认 3")
    chosen = parser.parse_args(arguments)
    result, verdicts = asyncio.run(runner(plan_of(chosen)))
    sys.stdout.write(report.render(result, verdicts) + "\n")
    text = json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    if chosen.json:
        chosen.json.write_text(text, encoding="utf-8")
    if chosen.record:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{result['at'][:16].replace(':', '')}-{result['machine']['commit']}.json").write_text(
            text, encoding="utf-8"
        )
    return judge.exit_status(verdicts, result["violations"])
