-- How new accounts, leases, jobs and orders are checked: SQLite does it row by row at little cost, so nothing changes.
-- PostgreSQL: 0087_quicker_checks.postgres.sql.

SELECT 1;
