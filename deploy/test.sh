#!/usr/bin/env bash
# The whole suite on both engines, in separate processes (the ORM caches statements without the dialect).
set -uo pipefail
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=1
status=0
echo "== SQLite =="
TEST_ENGINE=sqlite .venv/bin/python -m pytest -q "$@" || status=1
echo "== PostgreSQL + Redis =="
TEST_ENGINE=postgres .venv/bin/python -m pytest -q "$@" || status=1
exit $status
