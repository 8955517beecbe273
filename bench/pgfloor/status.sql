-- (a) The light status of one case, one statement.
\set n random(0, :stored - 1)
SELECT c.case_no, c.item_code, c.item_name, c.department_name, c.state, c.seq, c.submitted_at, c.changed_at, c.promise_on, c.account_ref FROM bench_owner o JOIN cases_case c ON c.case_no = '6209812601012' || lpad((:n)::text, 8, '0') AND c.account_ref = o.ref WHERE o.n = (:n)::int % (:people)::int;
