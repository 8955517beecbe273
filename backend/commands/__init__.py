"""The command line of the product: parsing, configuration, one command. What a command does lives in its slice."""

import argparse
import asyncio
import sys

from backend import starting, wiring
from backend.commands import database, desk, field_workers, operate, parcels, reconcile, refunds, window
from backend.commands.chinese import Parser
from backend.commands.terminal import Refused
from kernel import config
from kernel.metrics import CannotListen
from kernel.problems import DatabaseUnavailable, Problem


def parser() -> argparse.ArgumentParser:
    """Every command with its Chinese help."""
    top = Parser(prog="python -m backend", description="掌上办 后台命令")
    commands = top.add_subparsers(dest="command", required=True, metavar="命令")
    for module in (operate, database, field_workers, parcels, desk, refunds, window, reconcile):
        module.add(commands)
    return top


def main(argv: list[str]) -> int:
    """Runs one command. 2: the configuration is wrong, every complaint listed. 1: the command was refused, with the reason."""
    arguments = parser().parse_args(argv)
    try:
        return int(asyncio.run(arguments.run(arguments)) or 0)
    except (config.ConfigError, wiring.SchemaOutdated, CannotListen, DatabaseUnavailable) as error:
        code, text = starting.explain(error) or (1, str(error))
        sys.stderr.write(text + "\n")
        return code
    except Problem as problem:
        lines = [problem.detail, *(f"  - {e.pointer}：{e.message}" for e in problem.errors)]
        sys.stderr.write("\n".join(lines) + "\n")
        return 1
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    except KeyboardInterrupt:
        return 130
