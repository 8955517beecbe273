#!/usr/bin/env bash
# Prepares this machine for `make run` (run) or `make test` (test). Repeating it costs a fraction of a second.
set -euo pipefail
cd "$(dirname "$0")/.."
purpose=${1:-run}
lock=requirements.txt
[ "$purpose" = test ] && lock=requirements-dev.txt

fail() { echo "✗ $1" >&2; exit 1; }
step() { echo "· $1"; }

apt() {  # names of Debian packages
  [ "$(id -u)" = 0 ] || fail "缺少系统软件：$*。请用管理员执行：apt-get install -y $*"
  step "安装系统软件：$*"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >.run/setup.log 2>&1 \
    || { tail -5 .run/setup.log >&2; fail "系统软件安装失败，详见 .run/setup.log"; }
}

find_python() {
  for candidate in python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] < (3,14))'; then
      python=$candidate; return 0
    fi
  done
  return 1
}
mkdir -p .run
chmod 700 .run
if ! find_python; then
  apt python3 python3-venv
  find_python || fail "这台机器的 Python 版本不合用：需要 3.11、3.12 或 3.13"
fi

# The stamp names what is installed by the lock's own hash: a changed lock installs again, an unchanged one does nothing.
run_stamp="run:$(sha256sum < requirements.txt | cut -c1-16)"
test_stamp="test:$(sha256sum < requirements-dev.txt | cut -c1-16)"
have=$(cat .venv/.stamp 2>/dev/null || true)
if [ "$have" != "$test_stamp" ] && { [ "$purpose" = test ] || [ "$have" != "$run_stamp" ]; }; then
  if [ ! -x .venv/bin/pip ]; then
    rm -rf .venv
    "$python" -m venv .venv >/dev/null 2>&1 || { rm -rf .venv; apt python3-venv; "$python" -m venv .venv; }
  fi
  step "安装 Python 依赖（$(grep -c '==' "$lock") 个软件包，逐个校验，首次约一分钟）"
  .venv/bin/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r "$lock" \
    || fail "Python 依赖安装失败，请检查网络或软件源后重试"
  if [ "$purpose" = test ]; then echo "$test_stamp"; else echo "$run_stamp"; fi > .venv/.stamp
fi

if [ "$purpose" = test ]; then
  missing=()
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
  command -v redis-server >/dev/null || missing+=(redis-server)
  command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=(nginx)
  if [ ${#missing[@]} -gt 0 ]; then
    # The tests start their own servers: Debian must not start one for us, nor build a cluster we never use.
    mkdir -p /etc/postgresql-common 2>/dev/null && echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf 2>/dev/null || true
    apt "${missing[@]}"
  fi
fi
