# 掌上办 — everything a person needs is a target here; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
RUN := .run
ENVIRONMENT := $(abspath $(or $(RUN_FOLDER),$(RUN)))/environment

.PHONY: help setup setup-dev run demo zsb test check format lint types imports bench kill chaos clean openapi

help: ## 列出所有命令
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

setup: ## 准备运行环境（虚拟环境和带校验的依赖）
	@deploy/setup.sh run

setup-dev: ## 准备开发和测试环境（另装测试工具、PostgreSQL、Redis、nginx）
	@deploy/setup.sh test

run: setup ## 启动整个产品：接口、后台任务、沙箱合作方（Ctrl-C 停止）
	@$(PY) -m deploy.local.run

demo: setup ## 在 make run 运行时，演示一次完整办事
	@$(PY) -m deploy.local.demo

zsb: setup ## 对 make run 的数据执行后台命令，例如 make zsb ARGS="doctor"
	@test -r "$(ENVIRONMENT)" || { echo '还没有本地运行的配置（$(ENVIRONMENT)）：请先执行一次 make run'; exit 1; }
	@set -a; . "$(ENVIRONMENT)"; set +a; exec $(PY) -m backend $(or $(ARGS),--help)

test: setup-dev ## 在 SQLite 和 PostgreSQL + Redis 上跑全部测试
	@deploy/test.sh

check: setup-dev ## 格式、规范、类型、依赖方向、全部测试
	@$(MAKE) --no-print-directory lint types imports test

format: setup-dev ## 统一代码格式
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix -q .

lint: setup-dev ## 检查格式和规范
	@.venv/bin/ruff format --check . && .venv/bin/ruff check .

types: setup-dev ## 严格类型检查
	@.venv/bin/mypy kernel payments notifications backend miniprogram_api sandbox deploy

imports: setup-dev ## 检查谁可以引用谁
	@.venv/bin/lint-imports

bench: setup-dev ## 性能基准（与基线在同一次运行里比较）
	@$(PY) -m bench

kill: setup-dev ## 在整个办事过程中随机杀死进程并核对账目（默认 200 次）
	@$(PY) -m tests.reliability.kill_campaign

chaos: setup-dev ## 支付的随机故障世界，例如 make chaos SEEDS=1-10000 ENGINE=postgres；失败的种子可原样重演
	@PYTHONHASHSEED=0 $(PY) -m tests.chaos $(or $(SEEDS),1-100) --engine $(or $(ENGINE),sqlite) $(ARGS)

openapi: setup-dev ## 重新生成 docs/openapi.json
	@$(PY) -m miniprogram_api.export > docs/openapi.json

clean: ## 删除本地运行数据（演示数据、密钥、日志）
	@rm -rf $(RUN)
