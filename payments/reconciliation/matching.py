"""The comparison itself, as SQL over the scratch tables: linear passes over indexed rows, no order of lines, no row in memory.

`line` holds the channel's files, `ours` our payments and refunds, `found` what is not a plain match. Every finding carries
`delta_fen`, by which it explains why their sum differs from ours; the judgement is checked against that before it is used.
"""

from payments.gateways.statement_port import StatementKind

# Not differences, but worth a row: the line belongs to a payment whose day, by our books, is another one.
OTHER_DAY = "OTHER_DAY"
# Refunds that match are kept too: they are few, and the day by our books may change when one is sent again.
MATCH = "MATCH"

TABLES = (
    "CREATE TABLE line (file TEXT, line_no INT, kind TEXT, number TEXT, txn TEXT, amount INT, settle INT, fee INT, currency TEXT, "
    "at INT, incoming INT, done INT, ours INT, flow TEXT, payment TEXT)",
    "CREATE TABLE ours (kind TEXT, number TEXT, txn TEXT, amount INT, currency TEXT, settled INT, that_day INT, payment TEXT)",
    "CREATE TABLE found (line_no INT, class TEXT, key TEXT, kind TEXT, number TEXT, txn TEXT, theirs INT, ours INT, currency TEXT, "
    "fee INT, delta INT, at INT, payment TEXT)",
    "CREATE TABLE spare (line_rowid INTEGER PRIMARY KEY)",
)
# Made after the mass of rows is there: a third of the time of keeping them while the rows come.
LINE_INDEX = "CREATE INDEX IF NOT EXISTS line_number ON line (file, kind, number, txn)"
OURS_INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS ours_number ON ours (kind, number)"
ADD_LINE = "INSERT INTO line VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ADD_OURS = "INSERT INTO ours VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
UNKNOWN = (
    "SELECT DISTINCT l.number FROM line l LEFT JOIN ours o ON o.kind = l.kind AND o.number = l.number "
    "WHERE l.file = 'trade' AND l.ours AND l.kind = ? AND l.number > ? AND o.number IS NULL ORDER BY l.number LIMIT ?"
)
FOUND = (
    "SELECT line_no, class, key, kind, number, txn, theirs, ours, currency, fee, payment, at FROM found "
    "ORDER BY line_no, class, key"
)
IS_FOUND = "SELECT 1 FROM found WHERE class = ? AND key = ? LIMIT 1"
_COLUMNS = "INSERT INTO found (line_no, class, key, kind, number, txn, theirs, ours, currency, fee, delta, at) "

# -- trade: our books against the trade bill -------------------------------------------------------------------------------

# Of lines that say the same thing about the same number, one counts; which one does not depend on where it stands. A line that
# names no transaction means the one we know; where we know none, and of refunds, the number alone says which is meant.
_SPARE = (
    "INSERT INTO spare SELECT r FROM (SELECT l.rowid AS r, ROW_NUMBER() OVER (PARTITION BY l.kind, l.number, "
    "CASE WHEN l.kind = 'refund' OR (o.settled AND o.txn IS NULL) THEN '' ELSE COALESCE(l.txn, o.txn) END "
    "ORDER BY l.done DESC, l.amount, l.fee, l.at, l.txn, l.rowid) AS place FROM line l "
    "LEFT JOIN ours o ON o.kind = l.kind AND o.number = l.number "
    "WHERE l.file = 'trade' AND l.ours AND (l.kind, l.number) IN (SELECT kind, number FROM line WHERE file = 'trade' AND ours "
    "AND kind IN ('payment', 'refund') AND number IS NOT NULL GROUP BY kind, number HAVING COUNT(*) > 1)) WHERE place > 1"
)
_DUPLICATES = (
    _COLUMNS
    + "SELECT l.line_no, 'DUPLICATE_LINE', :channel || ':' || :day || ':' || l.kind || ':' || l.number, l.kind, l.number, l.txn, "
    "l.amount, NULL, l.currency, l.fee, CASE WHEN NOT l.done THEN 0 WHEN l.kind = 'refund' THEN -l.amount ELSE l.amount END, l.at "
    "FROM spare s JOIN line l ON l.rowid = s.line_rowid"
)
# Their line with whatever row of ours has its number. SQLite compares NULLs with IS.
_PAIR = (
    "FROM line l LEFT JOIN ours o ON o.kind = l.kind AND o.number = l.number "
    "WHERE +l.file = 'trade' AND l.ours AND +l.kind = '{kind}' AND l.rowid NOT IN (SELECT line_rowid FROM spare) "
)
_PAYMENTS = (
    _COLUMNS + "SELECT line_no, class, CASE class "
    "WHEN 'CHANNEL_ONLY' THEN :channel || ':' || txn "
    "WHEN 'AMOUNT_HIGH' THEN number || ':' || txn WHEN 'AMOUNT_LOW' THEN number || ':' || txn "
    "WHEN 'CURRENCY' THEN number || ':' || txn WHEN 'SECOND_TRANSACTION' THEN number || ':' || txn ELSE number END, "
    "'payment', number, txn, amount, ours, currency, fee, "
    "CASE WHEN class = 'STATUS_OURS_PAID_THEIRS_NOT' THEN 0 "
    "WHEN class IN ('CHANNEL_ONLY', 'STATUS_OURS_UNPAID', 'SECOND_TRANSACTION', 'OTHER_DAY') OR NOT that_day THEN amount "
    "ELSE amount - ours END, at FROM (SELECT l.line_no, l.number, COALESCE(l.txn, l.number, :day || '-' || l.line_no) AS txn, l.amount, o.amount AS ours, "
    "l.currency, l.fee, l.at, COALESCE(o.that_day, 0) AS that_day, CASE "
    "WHEN NOT l.done THEN CASE WHEN o.settled AND COALESCE(l.txn = o.txn, 1) THEN 'STATUS_OURS_PAID_THEIRS_NOT' END "
    "WHEN o.number IS NULL THEN 'CHANNEL_ONLY' "
    "WHEN NOT o.settled THEN 'STATUS_OURS_UNPAID' "
    "WHEN l.txn <> o.txn THEN 'SECOND_TRANSACTION' "
    "WHEN l.currency <> o.currency THEN 'CURRENCY' "
    "WHEN l.amount > o.amount THEN 'AMOUNT_HIGH' WHEN l.amount < o.amount THEN 'AMOUNT_LOW' "
    "WHEN NOT o.that_day THEN 'OTHER_DAY' END AS class " + _PAIR.format(kind="payment") + ") WHERE class IS NOT NULL"
)
_REFUNDS = (
    _COLUMNS
    + "SELECT line_no, class, CASE class WHEN 'REFUND_CHANNEL_ONLY' THEN :channel || ':' || COALESCE(number, txn, :day || '-' || line_no) ELSE number END, "
    "'refund', number, txn, amount, ours, currency, fee, CASE WHEN class IN ('REFUND_CHANNEL_ONLY', 'OTHER_DAY') OR NOT that_day "
    "THEN -amount ELSE ours - amount END, at FROM (SELECT l.line_no, l.number, l.txn, l.amount, o.amount AS ours, l.currency, l.fee, "
    "l.at, COALESCE(o.that_day, 0) AS that_day, CASE WHEN NOT l.done THEN NULL "
    "WHEN o.number IS NULL OR NOT o.settled THEN 'REFUND_CHANNEL_ONLY' "
    "WHEN l.amount <> o.amount OR l.currency <> o.currency THEN 'REFUND_AMOUNT' "
    "WHEN NOT o.that_day THEN 'OTHER_DAY' ELSE 'MATCH' END AS class "
    + _PAIR.format(kind="refund")
    + ") WHERE class IS NOT NULL"
)
# A row of ours of that day for which the file has no line of the same transaction.
_LOCAL_ONLY = (
    _COLUMNS
    + "SELECT 0, CASE o.kind WHEN 'payment' THEN 'LOCAL_ONLY' ELSE 'REFUND_LOCAL_ONLY' END, o.number, o.kind, o.number, o.txn, "
    "NULL, o.amount, o.currency, 0, CASE o.kind WHEN 'payment' THEN -o.amount ELSE o.amount END, NULL FROM ours o "
    "WHERE o.that_day AND o.settled AND NOT EXISTS (SELECT 1 FROM line l WHERE l.file = 'trade' AND l.ours AND l.kind = o.kind "
    "AND l.number = o.number AND (o.kind = 'refund' OR o.txn IS NULL OR l.txn IS NULL OR l.txn = o.txn))"
)
# The line says that it did not happen: our amount is missing from their sum.
_NOT_PAID = (
    "UPDATE found SET delta = -ours WHERE class = 'STATUS_OURS_PAID_THEIRS_NOT' AND EXISTS "
    "(SELECT 1 FROM ours o WHERE o.kind = 'payment' AND o.number = found.number AND o.that_day)"
)
_FAILED_REFUNDS = (
    _COLUMNS
    + "SELECT l.line_no, 'REFUND_LOCAL_ONLY', o.number, o.kind, o.number, l.txn, NULL, o.amount, o.currency, 0, "
    "CASE WHEN o.that_day THEN o.amount ELSE 0 END, l.at "
    "FROM line l JOIN ours o ON o.kind = l.kind AND o.number = l.number WHERE l.file = 'trade' AND l.ours AND l.kind = 'refund' "
    "AND NOT l.done AND o.settled AND l.rowid NOT IN (SELECT line_rowid FROM spare)"
)
_OTHERS = (
    _COLUMNS
    + "SELECT line_no, 'UNKNOWN_LINE', :channel || ':' || :day || ':' || file || ':' || line_no, kind, number, txn, amount, NULL, "
    "currency, fee, 0, at FROM line WHERE +file = :file AND ours AND kind NOT IN ('payment', 'refund', 'fee', 'settlement')"
)
# Expected: the rate on what moves, half up; of a refund a fen more or less, because parts are rounded by themselves.
_EXPECTED = "(settle * :per_10000 + 5000) / 10000"
_WRONG_FEE = (
    f"CASE kind WHEN 'payment' THEN fee <> {_EXPECTED} WHEN 'refund' THEN ABS(-fee - {_EXPECTED}) > 1 ELSE 0 END"
)
_TRADE_FEES = (
    _COLUMNS
    + "SELECT 0, 'FEE', :channel || ':' || :day, 'fee', NULL, NULL, taken, agreed, 'CNY', 0, 0, NULL FROM (SELECT "
    f"SUM(fee) AS taken, SUM(CASE kind WHEN 'payment' THEN {_EXPECTED} ELSE -({_EXPECTED}) END) AS agreed, COUNT(*) AS n FROM line "
    f"WHERE +file = 'trade' AND ours AND done AND :per_10000 IS NOT NULL AND {_WRONG_FEE}) WHERE n > 0"
)

# -- fund: the trade bill against the movements of the account ---------------------------------------------------------------

_SIGNED_TRADE = (
    "SELECT kind, number, SUM(CASE kind WHEN 'payment' THEN settle ELSE -settle END) AS amount, MIN(at) AS at FROM line "
    "WHERE file = 'trade' AND done AND kind IN ('payment', 'refund') GROUP BY kind, number"
)
_SIGNED_FUND = (
    "SELECT kind, number, SUM(CASE WHEN incoming THEN amount ELSE -amount END) AS amount, MIN(at) AS at, MIN(line_no) AS line_no "
    "FROM line WHERE file = 'fund' AND kind IN ('payment', 'refund') GROUP BY kind, number"
)
_MOVED = (
    _COLUMNS + "SELECT line_no, CASE WHEN theirs < ours THEN 'SETTLEMENT_SHORT' ELSE 'SETTLEMENT_OVER' END, "
    ":channel || ':' || kind || ':' || COALESCE(number, :day || ':' || line_no), kind, number, NULL, theirs, ours, 'CNY', 0, theirs - ours, "
    "at FROM ("
    "SELECT COALESCE(f.line_no, 0) AS line_no, t.kind, t.number, COALESCE(f.amount, 0) AS theirs, t.amount AS ours, t.at AS at "
    "FROM moved_trade t LEFT JOIN moved_fund f ON f.kind = t.kind AND f.number IS t.number "
    "UNION ALL SELECT f.line_no, f.kind, f.number, f.amount, 0, f.at FROM moved_fund f "
    "LEFT JOIN moved_trade t ON t.kind = f.kind AND t.number IS f.number WHERE t.kind IS NULL) WHERE theirs <> ours AND EXISTS (SELECT 1 FROM line WHERE file = 'fund')"
)
_FUND_EACH = (
    "CREATE TEMP TABLE moved_trade AS " + _SIGNED_TRADE,
    "CREATE TEMP TABLE moved_fund AS " + _SIGNED_FUND,
    "CREATE INDEX moved_trade_number ON moved_trade (kind, number)",
    "CREATE INDEX moved_fund_number ON moved_fund (kind, number)",
    _MOVED,
    "DROP TABLE moved_trade",
    "DROP TABLE moved_fund",
)
FEES_TAKEN = "SELECT COALESCE(SUM(CASE WHEN incoming THEN -amount ELSE amount END), 0) FROM line WHERE +file = 'fund' AND kind = 'fee'"
_TRADE_FEE_SUM = "SELECT COALESCE(SUM(fee), 0) FROM line WHERE +file = 'trade' AND done"
_FUND_FEES = (
    _COLUMNS
    + "SELECT 0, 'FEE', :channel || ':' || :day || ':account', 'fee', NULL, NULL, taken, told, 'CNY', 0, 0, NULL "
    f"FROM (SELECT ({FEES_TAKEN}) AS taken, ({_TRADE_FEE_SUM}) AS told) WHERE taken <> told AND EXISTS (SELECT 1 FROM line WHERE file = 'fund')"
)
_PAID_OUT = (
    "SELECT COALESCE(SUM(CASE WHEN incoming THEN -amount ELSE amount END), 0) FROM line "
    "WHERE file = 'fund' AND kind = 'settlement'"
)
_OWED = (
    "SELECT COALESCE(SUM(CASE kind WHEN 'payment' THEN settle WHEN 'refund' THEN -settle ELSE 0 END - fee), 0) FROM line "
    "WHERE file = 'trade' AND done"
)
_FUND_SUM = (
    _COLUMNS
    + "SELECT 0, CASE WHEN paid < owed THEN 'SETTLEMENT_SHORT' ELSE 'SETTLEMENT_OVER' END, :channel || ':' || :day, "
    "'settlement', NULL, NULL, paid, owed, 'CNY', 0, paid - owed, NULL "
    f"FROM (SELECT ({_PAID_OUT}) AS paid, ({_OWED}) AS owed) WHERE paid <> owed"
)
_NOTHING_MOVED = _FUND_SUM + " AND NOT EXISTS (SELECT 1 FROM line WHERE file = 'fund')"
MOVEMENTS = "SELECT flow, amount, incoming, at FROM line WHERE file = 'fund' AND kind = 'settlement' ORDER BY line_no"

# Refunds are found by their own numbers; people look for the payment they belong to.
_OF_PAYMENT = (
    "UPDATE found SET payment = CASE kind WHEN 'refund' THEN COALESCE((SELECT l.payment FROM line l WHERE l.file = 'trade' "
    "AND l.kind = 'refund' AND l.number = found.number LIMIT 1), (SELECT o.payment FROM ours o WHERE o.kind = 'refund' "
    "AND o.number = found.number)) ELSE number END"
)


def judgement(file: StatementKind, *, in_sums: bool) -> tuple[str, ...]:
    """The statements to run, in order, over loaded tables."""
    if file is StatementKind.TRADE:
        return (
            _SPARE, _DUPLICATES, _PAYMENTS, _NOT_PAID, _REFUNDS, _FAILED_REFUNDS, _LOCAL_ONLY, _OTHERS, _TRADE_FEES,
            _OF_PAYMENT,
        )  # fmt: skip
    # An account of which the channel says that nothing moved is one finding, not one for each line of the trade bill.
    return (_FUND_SUM, _OTHERS) if in_sums else (_NOTHING_MOVED, *_FUND_EACH, _FUND_FEES, _OTHERS, _OF_PAYMENT)


# -- sums ------------------------------------------------------------------------------------------------------------------

# The unary plus keeps SQLite from walking the index, whose order is not that of the rows: one pass over the table is faster.
LINE_SUMS = (
    "SELECT COUNT(*), COALESCE(SUM(ours), 0), COALESCE(SUM(CASE WHEN ours AND done AND kind = 'payment' THEN amount END), 0), "
    "COALESCE(SUM(CASE WHEN ours AND done AND kind = 'refund' THEN amount END), 0), "
    "COALESCE(SUM(CASE WHEN ours AND done THEN fee END), 0) FROM line WHERE +file = :file"
)
OURS_SUMS = (
    "SELECT COUNT(*), COALESCE(SUM(CASE kind WHEN 'payment' THEN amount ELSE -amount END), 0) FROM ours "
    "WHERE that_day AND settled"
)
FOUND_SUMS = "SELECT COUNT(DISTINCT CASE WHEN line_no > 0 AND class <> 'MATCH' THEN line_no END), COALESCE(SUM(class = 'OTHER_DAY'), 0), COALESCE(SUM(delta), 0) FROM found"
