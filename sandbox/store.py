"""What the sandbox remembers: JSON documents with history, the request log and pending callbacks in one SQLite file.

Everything survives a restart (a paid order stays paid, a used code stays used). No partner rule lives here.
The sqlite3 calls are synchronous on purpose: they take microseconds and keep one partner's steps free of interleaving.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Doc = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (
  partner TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,
  PRIMARY KEY (partner, kind, key)
);
CREATE TABLE IF NOT EXISTS history (
  id INTEGER PRIMARY KEY AUTOINCREMENT, partner TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,
  at REAL NOT NULL, event TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS history_of ON history (partner, kind, key, id);
CREATE TABLE IF NOT EXISTS counter (
  partner TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (partner, name)
);
CREATE TABLE IF NOT EXISTS request (
  id INTEGER PRIMARY KEY AUTOINCREMENT, partner TEXT NOT NULL, call TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS request_of ON request (partner, id);
CREATE TABLE IF NOT EXISTS callback (
  id INTEGER PRIMARY KEY AUTOINCREMENT, partner TEXT NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, due_at REAL NOT NULL, state TEXT NOT NULL DEFAULT 'pending',
  note TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS callback_due ON callback (partner, state, due_at);
"""


class Database:
    """The one SQLite file of a run; partners get a `Store` each through `of()`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.execute("PRAGMA busy_timeout=5000")
        self.connection.executescript(_SCHEMA)
        self._depth = 0

    def of(self, partner: str) -> "Store":
        """The partner's own corner of the file."""
        return Store(self, partner)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing for several writes; nesting joins the outer one. Never `await` inside."""
        if self._depth == 0:
            self.connection.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        except BaseException:
            self._depth -= 1
            if self._depth == 0:
                self.connection.execute("ROLLBACK")
            raise
        self._depth -= 1
        if self._depth == 0:
            self.connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file; the state stays on disk."""
        self.connection.close()


class Store:
    """JSON documents of one partner, addressed by (kind, key). Kinds beginning with `_` belong to the base.

    Documents are handed out as fresh copies: change them and `put` them back. Every `put` appends to the history.
    """

    def __init__(self, database: Database, partner: str) -> None:
        self.database = database
        self.partner = partner
        self.transaction = database.transaction

    def get(self, kind: str, key: str) -> Doc | None:
        """The document, or None."""
        row = self._row("SELECT body FROM document WHERE partner=? AND kind=? AND key=?", kind, key)
        return None if row is None else _doc(row[0])

    def put(self, kind: str, key: str, doc: Doc, event: str = "put") -> None:
        """Insert or replace, and append to the document's history under the word `event` (for example "paid")."""
        body = json.dumps(doc, ensure_ascii=False)
        with self.transaction():
            self._execute(
                "INSERT INTO document (partner, kind, key, body) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (partner, kind, key) DO UPDATE SET body = excluded.body",
                (self.partner, kind, key, body),
            )
            if not kind.startswith("_"):
                self._execute(
                    "INSERT INTO history (partner, kind, key, at, event, body) VALUES (?, ?, ?, ?, ?, ?)",
                    (self.partner, kind, key, time.time(), event, body),
                )

    def add(self, kind: str, key: str, doc: Doc, event: str = "created") -> bool:
        """Insert only; False when the key is already taken (nothing is changed then)."""
        with self.transaction():
            if self.get(kind, key) is not None:
                return False
            self.put(kind, key, doc, event)
            return True

    def all(self, kind: str) -> list[Doc]:
        """Every document of a kind, oldest first (order of the first `put`)."""
        return [doc for _, doc in self.items(kind)]

    def items(self, kind: str) -> list[tuple[str, Doc]]:
        """(key, document) of a kind, oldest first."""
        rows = self._rows("SELECT key, body FROM document WHERE partner=? AND kind=? ORDER BY rowid", kind)
        return [(str(key), _doc(body)) for key, body in rows]

    def delete(self, kind: str, key: str) -> bool:
        """Forget one document (its history stays); False when there was none."""
        cursor = self._execute("DELETE FROM document WHERE partner=? AND kind=? AND key=?", (self.partner, kind, key))
        return cursor.rowcount > 0

    def history(self, kind: str, key: str) -> list[Doc]:
        """`[{"at": unix seconds, "event": word, "doc": snapshot}]`, oldest first."""
        rows = self._rows(
            "SELECT at, event, body FROM history WHERE partner=? AND kind=? AND key=? ORDER BY id", kind, key
        )
        return [{"at": at, "event": event, "doc": json.loads(body)} for at, event, body in rows]

    def next_number(self, name: str, start: int = 1) -> int:
        """A serial that never repeats, not even after a reset or a restart."""
        with self.transaction():
            row = self._row("SELECT value FROM counter WHERE partner=? AND name=?", name)
            value = start if row is None else int(row[0]) + 1
            self._execute(
                "INSERT OR REPLACE INTO counter (partner, name, value) VALUES (?, ?, ?)", (self.partner, name, value)
            )
            return value

    def count(self) -> dict[str, int]:
        """How many documents of each kind there are."""
        rows = self._rows("SELECT kind, COUNT(*) FROM document WHERE partner=? GROUP BY kind ORDER BY kind")
        return {str(kind): int(number) for kind, number in rows if not str(kind).startswith("_")}

    def count_requests(self) -> int:
        """Lines in the request log."""
        row = self._row("SELECT COUNT(*) FROM request WHERE partner=?")
        return 0 if row is None else int(row[0])

    def count_pending_callbacks(self) -> int:
        """Callbacks that have not ended yet."""
        row = self._row("SELECT COUNT(*) FROM callback WHERE partner=? AND state='pending'")
        return 0 if row is None else int(row[0])

    def reset(self, *, keep: tuple[str, ...] = ()) -> None:
        """Forget documents, history, log and pending callbacks; the kinds named in `keep` and the serials stay."""
        marks = ",".join("?" * len(keep)) or "''"
        with self.transaction():
            for table in ("document", "history"):
                self._execute(f"DELETE FROM {table} WHERE partner=? AND kind NOT IN ({marks})", (self.partner, *keep))
            self._execute("DELETE FROM request WHERE partner=?", (self.partner,))
            self._execute("DELETE FROM callback WHERE partner=?", (self.partner,))

    # -- request log ----------------------------------------------------------------------------------------------

    def log_request(self, call: str, entry: Doc, *, keep: int) -> int:
        """Append one line to the request log and drop lines beyond the newest `keep`."""
        body = json.dumps(entry, ensure_ascii=False)
        cursor = self._execute("INSERT INTO request (partner, call, body) VALUES (?, ?, ?)", (self.partner, call, body))
        line = int(cursor.lastrowid or 0)
        if line % 64 == 0:
            self._execute(
                "DELETE FROM request WHERE partner=? AND id <="
                " (SELECT id FROM request WHERE partner=? ORDER BY id DESC LIMIT 1 OFFSET ?)",
                (self.partner, self.partner, keep),
            )
        return line

    def requests(self, *, call: str | None, after: int, limit: int) -> list[Doc]:
        """Lines of the request log with id > `after`, oldest first."""
        sql = "SELECT id, body FROM request WHERE partner=? AND id>? AND (? IS NULL OR call=?) ORDER BY id LIMIT ?"
        rows = self._execute(sql, (self.partner, after, call, call, limit)).fetchall()
        return [{"id": line, **_doc(body)} for line, body in rows]

    def last_requests(self, limit: int) -> list[Doc]:
        """The newest lines of the request log, oldest first."""
        rows = self._execute(
            "SELECT id, body FROM request WHERE partner=? ORDER BY id DESC LIMIT ?", (self.partner, limit)
        ).fetchall()
        return [{"id": line, **_doc(body)} for line, body in reversed(rows)]

    # -- pending callbacks (used by sandbox.callbacks) ---------------------------------------------------------------

    def add_callback(self, kind: str, payload: Doc, due_at: float) -> int:
        """Remember a callback to be made at `due_at` (real unix seconds)."""
        cursor = self._execute(
            "INSERT INTO callback (partner, kind, payload, due_at) VALUES (?, ?, ?, ?)",
            (self.partner, kind, json.dumps(payload, ensure_ascii=False), due_at),
        )
        return int(cursor.lastrowid or 0)

    def due_callbacks(self, now: float) -> list[Doc]:
        """Pending callbacks whose time has come, oldest first."""
        sql = (
            "SELECT id, kind, payload, attempts FROM callback"
            " WHERE partner=? AND state='pending' AND due_at<=? ORDER BY due_at, id LIMIT 32"
        )
        rows = self._execute(sql, (self.partner, now)).fetchall()
        return [{"id": i, "kind": kind, "payload": json.loads(payload), "attempts": n} for i, kind, payload, n in rows]

    def next_callback_at(self) -> float | None:
        """When the next pending callback is due, or None."""
        row = self._row("SELECT MIN(due_at) FROM callback WHERE partner=? AND state='pending'")
        return None if row is None or row[0] is None else float(row[0])

    def settle_callback(self, callback_id: int, *, state: str, attempts: int, due_at: float | None, note: str) -> None:
        """Write what became of one try: state `pending` (with a new time), `done` or `given_up`."""
        self._execute(
            "UPDATE callback SET state=?, attempts=?, due_at=COALESCE(?, due_at), note=? WHERE id=?",
            (state, attempts, due_at, note, callback_id),
        )

    def callbacks(self, limit: int = 200) -> list[Doc]:
        """The newest callbacks with their fate, newest first."""
        names = ("id", "kind", "payload", "attempts", "due_at", "state", "note")
        sql = f"SELECT {', '.join(names)} FROM callback WHERE partner=? ORDER BY id DESC LIMIT ?"
        found = [dict(zip(names, row, strict=True)) for row in self._execute(sql, (self.partner, limit)).fetchall()]
        for callback in found:
            callback["payload"] = json.loads(callback["payload"])
        return found

    # ----------------------------------------------------------------------------------------------------------------

    def _execute(self, sql: str, parameters: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        return self.database.connection.execute(sql, parameters)

    def _row(self, sql: str, *more: Any) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._execute(sql, (self.partner, *more)).fetchone()
        return row

    def _rows(self, sql: str, *more: Any) -> list[tuple[Any, ...]]:
        return self._execute(sql, (self.partner, *more)).fetchall()


def _doc(body: str) -> Doc:
    found: Doc = json.loads(body)
    return found
