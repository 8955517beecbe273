-- (d) A notice settled by an ordinary transaction: stored, everything locked, then the rows that `payments.settlement` writes, in its order.
\set i :i + 1
\set n :first + :client_id * :span + :i - 1
BEGIN;
INSERT INTO kernel_inbox (partner, external_id, headers, body, created_at, handled_at, note) VALUES ('wechat-pay', 'EV-P' || lpad((:n)::text, 25, '0'), '{"wechatpay-serial":"PUB_KEY_ID_0119000001092026112000389000000000"}', repeat('s', 1600), now(), now(), 'settled') ON CONFLICT (partner, external_id) DO NOTHING RETURNING id;
SELECT bill_id FROM payments_attempt WHERE channel = 'wechat' AND payment_no = 'P' || lpad((:n)::text, 25, '0') \gset found_
SELECT * FROM payments_bill WHERE id = (:found_bill_id)::bigint FOR NO KEY UPDATE;
SELECT id FROM payments_attempt WHERE payment_no = 'P' || lpad((:n)::text, 25, '0') AND state = 'pending' AND amount_fen = 1000 FOR NO KEY UPDATE \gset attempt_
SELECT id, balance_fen FROM payments_ledger_account WHERE code = 'bill:' || 'B' || lpad((:n)::text, 25, '0') || ':' || 'due' \gset due_
INSERT INTO payments_evidence (attempt_id, channel, kind, source_id, payment_no, channel_txn_id, outcome, amount_fen, currency, occurred_at, observed_at, raw_ref, effect, created_at) VALUES ((:attempt_id)::bigint, 'wechat', 'notice', 'EV-P' || lpad((:n)::text, 25, '0'), 'P' || lpad((:n)::text, 25, '0'), '4200' || lpad((:n)::text, 24, '0'), 'paid', 1000, 'CNY', now(), now(), 'notice:' || 'EV', 'settled', now()) ON CONFLICT (channel, kind, source_id) DO NOTHING RETURNING id \gset evidence_
INSERT INTO payments_ledger_txn (kind, dedupe_key, bill_no, payment_no, occurred_at, created_at) VALUES ('pay', 'pay:' || 'wechat:4200' || lpad((:n)::text, 24, '0'), 'B' || lpad((:n)::text, 25, '0'), 'P' || lpad((:n)::text, 25, '0'), now(), now()) ON CONFLICT (dedupe_key) DO NOTHING RETURNING id \gset txn_
SELECT id FROM payments_ledger_account WHERE code = 'channel:' || 'wechat:' || 'receivable' \gset receivable_
INSERT INTO payments_ledger_entry (txn_id, account_id, amount_fen, created_at) VALUES ((:txn_id)::bigint, (:receivable_id)::bigint, 1000, now()), ((:txn_id)::bigint, (:due_id)::bigint, -1000, now());
UPDATE payments_ledger_account SET balance_fen = balance_fen - 1000 WHERE id = (:due_id)::bigint AND balance_fen - 1000 >= 0;
UPDATE payments_attempt SET state = 'paid', channel_txn_id = '4200' || lpad((:n)::text, 24, '0'), paid_at = now(), active_slot = NULL, next_check_at = NULL, event_seq = event_seq + 1 WHERE id = (:attempt_id)::bigint;
INSERT INTO payments_event (object_kind, object_no, seq, action, source, target, by, evidence_id, created_at) VALUES ('attempt', 'P' || lpad((:n)::text, 25, '0'), 3, 'paid', 'pending', 'paid', 'channel', (:evidence_id)::bigint, now());
SELECT balance_fen FROM payments_ledger_account WHERE id = (:due_id)::bigint;
UPDATE payments_bill SET state = 'paid', event_seq = event_seq + 1 WHERE id = (:found_bill_id)::bigint;
INSERT INTO payments_event (object_kind, object_no, seq, action, source, target, by, evidence_id, created_at) VALUES ('bill', 'B' || lpad((:n)::text, 25, '0'), 2, 'pay_full', 'open', 'paid', 'channel', (:evidence_id)::bigint, now());
INSERT INTO kernel_outbox (topic, key, lane, payload, state, run_at, attempts, crashes, created_ms) VALUES ('bill.paid', 'bill.paid:' || 'B' || lpad((:n)::text, 25, '0') || ':2', 'bill:' || 'B' || lpad((:n)::text, 25, '0'), '{"bill_no":"B0000000000000000000000000","subject":"bench:0","kind":"administrative"}', 0, 0, 0, 0, 0) ON CONFLICT (key) DO NOTHING;
SELECT id FROM payments_attempt WHERE bill_id = (:found_bill_id)::bigint AND state IN ('created', 'sending', 'unknown', 'pending', 'closing') ORDER BY id FOR NO KEY UPDATE;
COMMIT;
