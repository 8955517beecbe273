"""Rules about tables and SQL that neither engine would complain about."""

import ast
import inspect
import re

import pytest
from tortoise import Model, fields

from backend.wiring import APPS
from kernel import db
from kernel.settings import DatabaseSettings
from tests.architecture.source import PRODUCT, Source, dotted, sources
from tests.docs.pages import import_everything

import_everything()


def models() -> list[type[Model]]:
    found = []
    for modules in APPS.values():
        for name in modules:
            module = __import__(name, fromlist=["_"])
            found += [
                m for m in vars(module).values()
                if inspect.isclass(m) and issubclass(m, Model) and m.__module__ == name and not m._meta.abstract
            ]  # fmt: skip
    return found


MODELS = models()


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
class TestEveryTable:
    def test_its_docstring_has_no_semicolon(self, model):
        """The SQLite migration editor splits statements there, comments included."""
        described = [f.description or "" for f in model._meta.fields_map.values()]
        assert ";" not in "".join([model.__doc__ or "", *described])

    def test_its_instants_are_utc(self, model):
        """A plain DatetimeField compares as text with its offset on SQLite."""
        for name, field in model._meta.fields_map.items():
            if isinstance(field, fields.DatetimeField):
                assert isinstance(field, db.UtcDatetimeField), name

    def test_its_name_begins_with_its_slice(self, model):
        label = next(app for app, modules in APPS.items() if model.__module__ in modules)
        assert model._meta.db_table.startswith(f"{label}_")

    def test_its_columns_say_their_unit(self, model):
        for name, field in model._meta.fields_map.items():
            if isinstance(field, db.UtcDatetimeField):
                assert name == "at" or name.endswith(("_at", "_until")), name
            elif isinstance(field, fields.DateField) and not isinstance(field, fields.DatetimeField):
                assert name.endswith(("_on", "_from", "_to")), name
            if isinstance(field, fields.IntField | fields.BigIntField):
                assert not re.search(r"(amount|price|fee|total)$", name), f"{name}: money is integer fen, called …_fen"

    def test_it_has_no_float_and_no_decimal(self, model):
        assert not [
            n for n, f in model._meta.fields_map.items() if isinstance(f, fields.FloatField | fields.DecimalField)
        ]

    def test_its_foreign_keys_stay_in_the_slice(self, model):
        label = next(app for app, modules in APPS.items() if model.__module__ in modules)
        for name in model._meta.fk_fields | model._meta.o2o_fields:
            assert model._meta.fields_map[name].model_name.startswith(f"{label}."), name

    def test_its_foreign_keys_have_an_index(self, model):
        """Neither engine makes one by itself."""
        indexes = [getattr(index, "fields", index) for index in model._meta.indexes]  # Index or plain names
        leading = {names[0] for names in indexes if names}
        leading |= {names[0] for names in model._meta.unique_together}
        for name in model._meta.fk_fields:
            field = model._meta.fields_map[name]
            column = field.source_field or f"{name}_id"
            assert {name, column} & leading or field.index or field.unique, f"{model.__name__}.{name}"


def test_the_pool_never_waits_without_end():
    known = db.orm_config(
        DatabaseSettings(url="postgres://zsb@db.example.gov.cn/zsb", command_seconds=2.0), {"kernel": ["kernel.models"]}
    )
    credentials = known["connections"][db.CONNECTION]["credentials"]
    assert credentials["command_timeout"] == 2.0
    assert int(credentials["server_settings"]["statement_timeout"]) < 2000
    assert int(credentials["server_settings"]["idle_in_transaction_session_timeout"]) > 0


# -- SQL is text of ours; what people typed travels as parameters ---------------------------------------------------------

STATEMENTS = {"fetch", "execute", "execute_query", "execute_query_dict", "executemany", "execute_script"}
# Texts that come from outside the function and were read by a person: they are constants of ours at every caller.
READ = {
    ("kernel/db.py", "parameter sql"),
    ("kernel/together.py", "*"),  # passes statements on; its callers are checked as `together.write`
    ("kernel/looking.py", "*"),  # stands before the connection of the ORM and passes its reads on
    ("kernel/sqlite_guard.py", "*"),  # names and definitions that SQLite itself gives of our own tables
    ("kernel/outbox.py", "_database_now()"),
    ("kernel/outbox.py", "parameter due"),
    ("kernel/outbox.py", "parameter assignments"),
    ("payments/guards.py", "*"),  # triggers: names and rules are constants of that module
    ("payments/reconciliation/scratch.py", "*"),  # its statements are the constants of matching.py
    ("payments/invariants.py", "_quoted(SETTLED)"),
    ("payments/invariants.py", "_quoted(ACTIVE)"),
    ("backend/catalog/queries.py", "parameter extra"),
}


def test_sql_is_built_from_constants_only():
    found = []
    for source in sources(PRODUCT):
        for function in source.functions():
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and _is_statement(dotted(node.func)) and node.args:
                    unsafe = _Taint(source, function).leaves(node.args[0])
                    read = {leaf for file, leaf in READ if file == source.name}
                    found += [f"{source.name}:{node.lineno} {n}" for n in unsafe if n not in read and "*" not in read]
    assert sorted(set(found)) == []


def _is_statement(called: str) -> bool:
    return called.rpartition(".")[2] in STATEMENTS or called == "together.write"


class _Taint:
    """Finds what in a SQL text is not written by us in this very module."""

    def __init__(self, source: Source, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.source, self.function = source, function
        self.module_names = {
            t.id for n in source.tree.body if isinstance(n, ast.Assign | ast.AnnAssign)
            for target in (n.targets if isinstance(n, ast.Assign) else [n.target]) for t in ast.walk(target)
            if isinstance(t, ast.Name)
        }  # fmt: skip
        arguments = function.args
        self.parameters = {a.arg for a in (*arguments.args, *arguments.kwonlyargs, *arguments.posonlyargs)}
        self.seen: set[str] = set()

    def leaves(self, node: ast.AST) -> list[str]:
        match node:
            case ast.Constant() | None:
                return []
            case ast.Name(id=name):
                return self._name(name)
            case ast.JoinedStr(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts):
                return [leaf for part in parts for leaf in self.leaves(part)]
            case ast.FormattedValue(value=value):
                return self.leaves(value)
            case ast.IfExp(body=one, orelse=other):
                return self.leaves(one) + self.leaves(other)
            case ast.BinOp(left=one, right=other):
                return self.leaves(one) + self.leaves(other)
            case ast.GeneratorExp(elt=element) | ast.ListComp(elt=element):
                return self.leaves(element)
            case ast.Subscript(value=value):
                return self.leaves(value)
            case ast.Dict(values=values):
                return [leaf for value in values for leaf in self.leaves(value)]
            case ast.Call(func=ast.Name(id="int" | "len")) | ast.Call(func=ast.Attribute(attr="any_of")):
                return []  # numbers, and kernel.db's own list of question marks
            case ast.Call(func=ast.Attribute(value=value, attr="join" | "replace" | "format"), args=args):
                return [leaf for part in (value, *args) for leaf in self.leaves(part)]
        return [ast.unparse(node)]

    def _name(self, name: str) -> list[str]:
        if name in self.seen:
            return []
        self.seen.add(name)
        if name in self.parameters:
            annotation = next(
                ast.unparse(a.annotation) for a in (*self.function.args.args, *self.function.args.kwonlyargs)
                if a.arg == name and a.annotation is not None
            )  # fmt: skip
            return [] if annotation == "int" else [f"parameter {name}"]
        given = [
            n
            for n in ast.walk(self.function)
            if isinstance(n, ast.Assign | ast.AugAssign | ast.For | ast.comprehension)
        ]
        found: list[str] = []
        for n in given:
            targets = n.targets if isinstance(n, ast.Assign) else [n.target]
            for target in targets:
                found += self._assigned(target, n.value if isinstance(n, ast.Assign | ast.AugAssign) else n.iter, name)
        if not found and name not in self.module_names and name not in {t for n in given for t in _bound(n)}:
            return [name]
        return found

    def _assigned(self, target: ast.AST, value: ast.AST, name: str) -> list[str]:
        if isinstance(target, ast.Name) and target.id == name:
            return self.leaves(value)
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            return [leaf for t, v in zip(target.elts, value.elts, strict=False) for leaf in self._assigned(t, v, name)]
        return []


def _bound(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
