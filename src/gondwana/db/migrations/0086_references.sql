-- How references of leases, runs and postings are checked: SQLite does it row by row at little cost, so nothing changes.
-- PostgreSQL: 0086_references.postgres.sql.

SELECT 1;
