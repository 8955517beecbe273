#!/usr/bin/env bash
# The whole suite on both engines, in separate processes (the ORM caches statements without the dialect), side by side:
# a good part of the time is waiting. Each engine's output is whole and ends with pytest's own closing line.
set -uo pipefail
cd "$(dirname "$0")/.."
mkdir -p .run
log=.run/test-postgres.log
# These know no database, or ask what no database changes: once is enough. (`make chaos ENGINE=postgres` plays the worlds there.)
once=(--ignore tests/architecture --ignore tests/bench --ignore tests/docs --ignore tests/sandbox --ignore tests/chaos
      --ignore tests/deploy/test_make_run.py --ignore tests/security/test_fuzz.py)
TEST_ENGINE=postgres .venv/bin/python -m pytest -q "${once[@]}" "$@" > "$log" 2>&1 &
other=$!
trap 'kill -INT "$other" 2>/dev/null; wait "$other"; exit 130' INT TERM

status=0
echo "== SQLite =="
TEST_ENGINE=sqlite .venv/bin/python -m pytest -q "$@" || status=1
echo "== PostgreSQL + Redis =="
tail -n +1 -f --pid="$other" "$log"
wait "$other" || status=1
exit $status
