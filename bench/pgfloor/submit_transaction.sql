-- (c) The rows of a submission by an ordinary transaction: the statements of a careful program, one after the other.
\set i :i + 1
\set n :first + :client_id * :span + :i - 1
BEGIN;
SELECT ref, account_id, materials FROM bench_owner WHERE n = (:n)::int % (:people)::int \gset who_
INSERT INTO kernel_idempotency (scope, key, request_hash, created_ms) VALUES ('pgbench:' || (:who_ref)::text, lpad((:n)::text, 64, 'k'), repeat('h', 64), 0) ON CONFLICT (scope, key) DO NOTHING RETURNING id;
SELECT * FROM cases_case WHERE case_no = '6209812601012' || lpad((:n)::text, 8, '0') AND account_ref = (:who_ref)::text FOR NO KEY UPDATE;
SELECT * FROM cases_material WHERE account_ref = (:who_ref)::text AND id = ANY ((:who_materials)::bigint[]) ORDER BY id FOR NO KEY UPDATE;
SELECT * FROM identity_account WHERE ref = (:who_ref)::text;
SELECT id AS id FROM cases_case WHERE case_no = '6209812601012' || lpad((:n)::text, 8, '0') \gset case_
UPDATE cases_case SET state = 'SUBMITTED', seq = 1, data_version = 1, ready_version = 1, submitted_at = now(), changed_at = now(), form_sealed = repeat('f', 300), applicant_sealed = repeat('a', 260), delivery_way = 'pickup', delivery_sealed = repeat('d', 160), query_password_hash = repeat('q', 64) WHERE id = (:case_id)::bigint;
INSERT INTO cases_attachment (created_at, code, position, since_version, case_id, material_id) SELECT now(), 'IDCARD', 0, 1, (:case_id)::bigint, m FROM unnest((:who_materials)::bigint[]) m;
INSERT INTO cases_event (created_at, seq, kind, from_state, to_state, "by", at, facts, case_id) VALUES (now(), 1, 'submit', 'DRAFT', 'SUBMITTED', 'applicant', now(), '{}', (:case_id)::bigint);
INSERT INTO delivery_parcel (created_at, delivery_no, case_no, owner_ref, way, kind, carrier, amount_fen, state, state_at, seq, mark_stage, mark_at, mark_rank, attempts, carrier_attempts, courier_attempts, order_round, code_generation, code_tries, id_tries) VALUES (now(), 'PGBENCH' || (:n)::text, '6209812601012' || lpad((:n)::text, 8, '0'), (:who_ref)::text, 'pickup', 'DOCUMENT_OUT', 'window', 0, 'QUOTED', now(), 0, 0, now(), 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO kernel_outbox (topic, key, lane, payload, state, run_at, attempts, crashes, created_ms) SELECT t, t || ':6209812601012' || lpad((:n)::text, 8, '0') || ':1', 'case:6209812601012' || lpad((:n)::text, 8, '0'), '{"case_no":"620981260101200000000"}', 0, 0, 0, 0, 0 FROM unnest(ARRAY['case.status_changed','case.submitted','case.ready']) t ON CONFLICT (key) DO NOTHING;
UPDATE kernel_idempotency SET answer = repeat('s', 360) WHERE scope = 'pgbench:' || (:who_ref)::text AND key = lpad((:n)::text, 64, 'k');
COMMIT;
