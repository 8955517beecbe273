-- (b) A page of one person's cases, one statement.
\set n random(0, :people - 1)
SELECT c.id, c.case_no, c.item_code, c.item_name, c.department_name, c.state, c.seq, c.submitted_at, c.changed_at, c.promise_on FROM cases_case c WHERE c.account_ref = (SELECT ref FROM bench_owner WHERE n = (:n)::int) ORDER BY c.id DESC LIMIT 21;
