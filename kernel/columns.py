"""The columns of a table and what goes into them, worked out once per model: the ORM asks each field anew for every row."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from tortoise.fields.base import Field
from tortoise.models import Model
from tortoise.validators import MaxLengthValidator

from kernel.db import UtcDatetimeField

_ToDb = Callable[[Any], Any]


def insert(model: type[Model], given: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """The INSERT of a new row; a field that is not given has its default. Raises TypeError for a name that is no field."""
    sql, columns = _insert(model)
    values = [
        to_db(given[name] if name in given else default() if callable(default) else default)
        for name, to_db, default in columns
    ]
    if len(given) > len(columns) or not given.keys() <= _names(model):
        raise TypeError(f"{model.__name__} has no {', '.join(sorted(given.keys() - _names(model)))}")
    return sql, values


def values_of(row: Model) -> dict[str, Any]:
    """All fields of a new row, as `insert` takes them."""
    return {name: getattr(row, name) for name, _, _ in _insert(type(row))[1]}


def update(row: Model) -> tuple[str, list[Any]]:
    """The UPDATE of every column of a row but its key."""
    sql, columns = _update(type(row))
    return sql, [*[to_db(getattr(row, name)) for name, to_db in columns], row.pk]


@lru_cache(maxsize=256)
def _insert(model: type[Model]) -> tuple[str, tuple[tuple[str, _ToDb, Any], ...]]:
    meta = model._meta
    names = [name for name in meta.fields_db_projection if name not in meta.generated_db_fields]
    columns = ", ".join(f'"{meta.fields_db_projection[name]}"' for name in names)
    sql = f'INSERT INTO "{meta.db_table}" ({columns}) VALUES ({", ".join("?" * len(names))})'
    return sql, tuple((name, _to_db(meta.fields_map[name], model), meta.fields_map[name].default) for name in names)


@lru_cache(maxsize=256)
def _names(model: type[Model]) -> frozenset[str]:
    return frozenset(name for name, _, _ in _insert(model)[1])


@lru_cache(maxsize=256)
def _update(model: type[Model]) -> tuple[str, tuple[tuple[str, _ToDb], ...]]:
    meta = model._meta
    names = [name for name in meta.fields_db_projection if name != meta.pk_attr]
    columns = ", ".join(f'"{meta.fields_db_projection[name]}" = ?' for name in names)
    sql = f'UPDATE "{meta.db_table}" SET {columns} WHERE "{meta.db_pk_column}" = ?'
    return sql, tuple((name, _to_db(meta.fields_map[name], model)) for name in names)


def _to_db(field: Field[Any], model: type[Model]) -> _ToDb:
    """The field's own conversion, or a shorter one with the same result for values that need none."""

    def asked(value: Any) -> Any:
        return field.to_db_value(value, model)

    if isinstance(field, UtcDatetimeField):
        return lambda value: value if type(value) is datetime and value.tzinfo is UTC else value and asked(value)
    if type(field).to_db_value is not Field.to_db_value:
        return lambda value: None if value is None else asked(value)
    kind, checks = field.field_type, field.validators
    if not checks:
        return lambda value: value if value is None or isinstance(value, kind) else asked(value)
    if len(checks) == 1 and isinstance(checks[0], MaxLengthValidator) and kind is str:
        most, optional = checks[0].max_length, field.null
        return lambda value: (
            value if (optional if value is None else isinstance(value, str) and len(value) <= most) else asked(value)
        )
    return asked
