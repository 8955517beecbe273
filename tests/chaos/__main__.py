"""`python -m tests.chaos SEEDS [--engine sqlite|postgres] [--seconds N] [--show]`: plays worlds and compares the books; exit code 1 when any failed."""

import argparse
import asyncio
import atexit
import collections
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.chaos import alarms, audit, mutants, world
from tests.chaos.ground import Ground, prepare
from tests.chaos.story import Story

_stopwatch = time.perf_counter


def seeds(text: str) -> Iterator[int]:
    """`7`, `1-100`, `3,9,40-45`."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


async def play(seed: int, ground: Ground, partners: world.Partners, folder: Path) -> tuple[list[str], world.World]:
    """One world from its first bill to its audit: what was wrong, and the world."""
    ground.empty()
    partners.forget()
    async with world.opened(seed, ground.settings, partners, folder) as place:
        try:
            await Story(place).play()
            wrong = await audit.settle(place)
            wrong += await audit.compare(place)
        except Exception:
            wrong = [traceback.format_exc(limit=-8)]
        return wrong + alarms.heard(), place


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", help="7, 1-100 or 3,9,40-45")
    parser.add_argument("--engine", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--seconds", type=float, help="begin no further world after so many seconds")
    parser.add_argument("--show", action="store_true", help="print the history of every world")
    parser.add_argument("--mutant", choices=sorted(mutants.MUTANTS), help="take one safeguard out first")
    parser.add_argument("--until-failed", action="store_true", help="end with the first world that failed")
    parser.add_argument("--digest", action="store_true", help="print a digest of the history of every world")
    parser.add_argument("--json", type=Path, help="write the summary to this file")
    arguments = parser.parse_args()
    prepare()
    alarms.listen(show=arguments.show)
    if arguments.mutant:
        mutants.MUTANTS[arguments.mutant]()
    folder = Path(tempfile.mkdtemp(prefix="zsb-chaos-"))
    ground = Ground(arguments.engine, folder)
    try:
        return campaign(arguments, ground, folder)
    finally:
        ground.close()
        shutil.rmtree(folder, ignore_errors=True)


def campaign(arguments: argparse.Namespace, ground: Ground, folder: Path) -> int:
    loop = asyncio.SelectorEventLoop()
    asyncio.set_event_loop(loop)
    partners = world.Partners(folder)
    hits: collections.Counter[str] = collections.Counter()
    kills: collections.Counter[str] = collections.Counter()
    played_out: collections.Counter[str] = collections.Counter()
    failed: dict[int, list[str]] = {}
    played, steps, began = 0, 0, _stopwatch()
    for seed in seeds(arguments.seeds):
        if arguments.seconds and _stopwatch() - began > arguments.seconds:
            break
        started = _stopwatch()
        wrong, place = loop.run_until_complete(play(seed, ground, partners, folder))
        played, steps = played + 1, steps + place.lives.steps
        hits.update(place.network.hits)
        kills.update(where.split(" ")[0] for where in place.lives.kills)
        played_out.update(place.outcome)
        if arguments.show:
            print("\n".join(place.log))
        if arguments.digest:
            print(f"digest {seed} {place.digest()} in {_stopwatch() - started:.1f} s", flush=True)
        if wrong:
            failed[seed] = wrong
            print(f"seed {seed} FAILED; replay: make chaos SEEDS={seed} ENGINE={ground.engine}")
            print("".join(f"    {line}\n" for line in wrong[:8]), end="", flush=True)
        if failed and arguments.until_failed:
            break
        if played % 100 == 0:
            print(f"{played} worlds, {len(failed)} failed, {_stopwatch() - began:.0f} s", flush=True)
    summary = {
        "engine": ground.engine, "seeds": arguments.seeds, "worlds": played, "failed": sorted(failed),
        "seconds": round(_stopwatch() - began, 1), "steps": steps, "kills": dict(sorted(kills.items())), "outcome": dict(sorted(played_out.items())),
        "faults": dict(sorted(hits.items())),
    }  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n")
    print(f"  {dict(sorted(played_out.items()))}")
    for what, number in sorted(hits.items()):
        print(f"  {number:7d}  {what}")
    print(
        f"{ground.engine}: {played} worlds in {summary['seconds']} s, {steps} steps, {sum(kills.values())} kills {dict(kills)}, "
        f"{sum(hits.values())} faults of {len(hits)} kinds, {len(failed)} failed {sorted(failed)[:20]}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    atexit._run_exitfuncs()
    os._exit(code)  # what the dead left behind must not run now
