"""Some calls belong in one module only, and some nowhere; each rule names the trap it guards against (docs/dependencies.md)."""

import ast

import pytest

from kernel import logs
from tests.architecture.source import PRODUCT, PROGRAMS, Source, calls, dotted, sources

# What must not be called → where it may be, and why only there.
ONE_PLACE = {
    "datetime.now": ({"kernel/clock.py"}, "tests must be able to stop the clock"),
    "datetime.datetime.now": (set(), "tests must be able to stop the clock"),
    "datetime.utcnow": (set(), "a time without its zone"),
    "datetime.today": (set(), "a time without its zone"),
    "date.today": (set(), "today is a question to kernel.clock: in Asia/Shanghai"),
    "time.time": (set(), "tests must be able to stop the clock"),
    "time.sleep": (set(), "stops every request of the process"),
    "os.getenv": (set(), "settings are declared, checked and documented in one way"),
    "print": (set(), "logs are structured; commands speak through backend.commands.terminal"),
    "uuid.uuid4": (set(), "public ids come from kernel.ids"),
}


@pytest.mark.parametrize("name", ONE_PLACE)
def test_calls_that_have_one_place(name):
    places, why = ONE_PLACE[name]
    found = {s.name for s in sources(PRODUCT) for called, _ in calls(s.tree) if called == name}
    assert found <= places, why


@pytest.mark.parametrize("name", ["print", "time.sleep", "datetime.utcnow"])
def test_calls_that_no_program_makes(name):
    assert [s.name for s in sources(PROGRAMS) for called, _ in calls(s.tree) if called == name] == []


def test_only_the_configuration_reads_the_environment():
    """The local run reads what a person typed before `make`; it is no part of the product."""
    found = {s.name for s in sources() for n in ast.walk(s.tree) if dotted(n) in ("os.environ", "os.getenv")}
    assert {name for name in found if not name.startswith(("deploy/", "sandbox/"))} == {"kernel/config.py"}


def test_no_limited_update_or_delete():
    """Tortoise drops ORDER BY and LIMIT there silently: every row of the filter would be touched."""
    found = []
    for source in sources(PRODUCT):
        for called, call in calls(source.tree):
            if called.endswith((".update", ".delete")) and isinstance(call.func, ast.Attribute):
                chain = ast.unparse(call.func.value)
                if ".limit(" in chain:
                    found.append(f"{source.name}:{call.lineno}")
    assert found == []


def test_no_rows_as_dictionaries():
    """`.values()` on a query answers what the engine happens to hold; rows become structs in queries.py."""
    found = []
    for source in sources(PRODUCT):
        for called, call in calls(source.tree):
            if called.endswith(".values") and any(
                w in ast.unparse(call.func) for w in (".filter(", ".all(", ".order_by(")
            ):
                found.append(f"{source.name}:{call.lineno}")
    assert found == []


def test_outgoing_http_has_one_client():
    found = {s.name for s in sources(PRODUCT) for called, _ in calls(s.tree) if called.endswith("ClientSession")}
    assert found == {"kernel/http.py"}


def test_redis_is_imported_by_one_module():
    assert {s.name for s in sources(PRODUCT) if _imports(s, "redis")} == {"kernel/redis_cache.py"}


def test_wechatpy_is_imported_by_one_module():
    assert {s.name for s in sources(PRODUCT) if _imports(s, "wechatpy")} == {"kernel/wechat.py"}


def _imports(source: Source, package: str) -> bool:
    for node in ast.walk(source.tree):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if any(name.split(".")[0] == package for name in names):
            return True
    return False


def test_no_exception_is_swallowed_without_a_word():
    found = []
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ExceptHandler) and all(isinstance(s, ast.Pass) for s in node.body):
                found.append(f"{source.name}:{node.lineno}")
    assert found == []


def test_no_partner_is_called_and_no_task_is_started_inside_a_transaction():
    """A task inherits the connection of the transaction it was started in; a partner's silence would hold the locks."""
    starting = ("create_task", "ensure_future", "gather", "TaskGroup")
    found = []
    for source in sources(PRODUCT):
        for block in ast.walk(source.tree):
            if isinstance(block, ast.AsyncWith) and any(
                dotted(getattr(i.context_expr, "func", i.context_expr)).endswith("transaction") for i in block.items
            ):
                for called, call in calls(ast.Module(block.body, [])):
                    if called.rpartition(".")[2] in starting or called.endswith(("partner.request", "gateway.prepay")):
                        found.append(f"{source.name}:{call.lineno} {called}")
    assert found == []


def test_every_started_task_has_its_own_context():
    """Otherwise it carries the caller's transaction and log line along."""
    found = []
    for source in sources(PRODUCT):
        for called, call in calls(source.tree):
            if called.endswith("create_task") and "context" not in {k.arg for k in call.keywords}:
                found.append(f"{source.name}:{call.lineno}")
    assert found == []


def test_stream_routes_limit_what_they_read():
    """Sanic sets the limit of a stream route to infinity."""
    from miniprogram_api.app import load_endpoints

    cycle = next(s for s in sources(PRODUCT) if s.name == "miniprogram_api/cycle.py")
    assert "request.stream.request_max_size = row.max_body" in cycle.text
    streamed = [row for row in load_endpoints() if row.streamed]
    assert streamed
    assert all(0 < row.max_body <= 12 * 1024 * 1024 for row in streamed)
    assert all(row.max_body <= 1024 * 1024 for row in load_endpoints() if not row.streamed)


def test_every_wait_for_a_partner_has_an_end():
    """A Partner is made with time limits of our own; aiohttp's default is five minutes."""
    text = next(s.text for s in sources(PRODUCT) if s.name == "kernel/http.py")
    assert "ClientTimeout(" in text
    assert "allow_redirects=False" in text


def test_every_field_that_is_logged_is_one_that_a_line_may_carry():
    """Others are dropped without a trace but their name: then the line that an operator needs says nothing."""
    words = {"debug", "info", "warning", "error", "critical", "exception"}
    dropped = [
        f"{source.name}:{call.lineno} {keyword.arg}"
        for source in sources(PRODUCT)
        for called, call in calls(source.tree)
        if called.split(".")[0] in ("log", "_log") and called.split(".")[-1] in words
        for keyword in call.keywords
        if keyword.arg and keyword.arg not in logs._FIELDS | {"exc_info"}
    ]
    assert dropped == []
