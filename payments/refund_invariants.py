"""The rules that refunds, the attempts they belong to and the ledger must fulfil together; `invariants` runs them. Statements only."""

# Each statement answers the rows that break one rule; the first column says which object.
_RESERVED = "'approved', 'sending', 'unknown', 'processing', 'abnormal'"
_SUCCEEDED = "'success', 'success_offline'"
_POSTINGS = (
    "payments_refund r LEFT JOIN payments_ledger_txn t ON t.refund_no = r.refund_no "
    "LEFT JOIN payments_ledger_entry e ON e.txn_id = t.id LEFT JOIN payments_ledger_account a ON a.id = e.account_id"
)
_GONE = f"COALESCE(SUM(CASE WHEN r.state IN ({_SUCCEEDED}) THEN r.amount_fen ELSE 0 END), 0)"
# Money on the surplus account that a refund row explains: asked for, or failed and not taken up again.
_EXPLAINED = (
    "COALESCE(SUM(CASE WHEN r.state = 'requested' OR (r.state = 'failed' AND NOT EXISTS (SELECT 1 FROM payments_refund f "
    "WHERE f.follows_id = r.id AND f.state <> 'denied')) THEN r.amount_fen ELSE 0 END), 0)"
)

RULES: tuple[tuple[str, str], ...] = (
    (
        "more was set aside or given back than an attempt paid",
        "SELECT p.payment_no AS what FROM payments_attempt p JOIN payments_ledger_txn t ON t.payment_no = p.payment_no "
        "JOIN payments_ledger_entry e ON e.txn_id = t.id JOIN payments_ledger_account a ON a.id = e.account_id "
        "WHERE t.kind IN ('refund_reserve', 'refund_reserve_again', 'refund_release') AND a.kind <> 'asset' "
        "AND a.code <> 'refund:reserved' AND a.code NOT LIKE 'suspense:%' "
        "GROUP BY p.id, p.payment_no, p.amount_fen HAVING SUM(e.amount_fen) > p.amount_fen",
    ),
    (
        "what is set aside for a refund does not match its state",
        f"SELECT r.refund_no AS what FROM {_POSTINGS} GROUP BY r.id, r.refund_no, r.state, r.amount_fen "
        "HAVING COALESCE(SUM(CASE WHEN a.code = 'refund:reserved' THEN e.amount_fen ELSE 0 END), 0) "
        f"<> CASE WHEN r.state IN ({_RESERVED}) THEN -r.amount_fen ELSE 0 END",
    ),
    (
        "what left for a refund does not match its state",
        f"SELECT r.refund_no AS what FROM {_POSTINGS} GROUP BY r.id, r.refund_no, r.state, r.amount_fen "
        "HAVING COALESCE(SUM(CASE WHEN t.kind IN ('refund_success', 'refund_offline') AND a.code <> 'refund:reserved' "
        f"THEN e.amount_fen ELSE 0 END), 0) <> CASE WHEN r.state IN ({_SUCCEEDED}) THEN -r.amount_fen ELSE 0 END",
    ),
    (
        "more money was taken out of what is set aside than was put in",
        "SELECT a.code AS what FROM payments_ledger_account a JOIN payments_ledger_entry e ON e.account_id = a.id "
        "WHERE a.code = 'refund:reserved' GROUP BY a.id, a.code HAVING SUM(e.amount_fen) > 0",
    ),
    (
        "stored state of an attempt differs from its refunds",
        "SELECT p.payment_no AS what FROM payments_attempt p LEFT JOIN payments_refund r ON r.attempt_id = p.id "
        "WHERE p.state IN ({settled}) GROUP BY p.id, p.payment_no, p.state, p.amount_fen "
        f"HAVING p.state <> CASE WHEN {_GONE} = 0 THEN 'paid' WHEN {_GONE} < p.amount_fen THEN 'part_refunded' ELSE 'refunded' END",
    ),
    (
        "surplus of an attempt and what we say we owe back differ",
        "SELECT a.code AS what FROM payments_ledger_account a LEFT JOIN payments_attempt p ON 'surplus:' || p.payment_no = a.code "
        "LEFT JOIN payments_refund r ON r.attempt_id = p.id AND r.source = 'surplus' "
        "WHERE a.code LIKE 'surplus:%' GROUP BY a.id, a.code, a.balance_fen "
        f"HAVING a.balance_fen < {_EXPLAINED} OR (a.balance_fen > {_EXPLAINED} "
        "AND COALESCE(SUM(CASE WHEN r.state = 'denied' THEN 1 ELSE 0 END), 0) = 0)",
    ),
    (
        "a refund that nobody will ask about",
        "SELECT refund_no AS what FROM payments_refund WHERE next_check_at IS NULL AND NOT review_required "
        "AND (state IN ('approved', 'sending', 'unknown', 'processing') OR (state = 'requested' AND automatic))",
    ),
    (
        "a refund was decided by whoever asked for it",
        "SELECT refund_no AS what FROM payments_refund WHERE NOT automatic AND state <> 'requested' AND state <> 'denied' "
        "AND decided_by = requested_by",
    ),
)
