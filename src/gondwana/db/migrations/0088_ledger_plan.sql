-- How postings find what they move: SQLite goes through indexes anyway. PostgreSQL: 0088_ledger_plan.postgres.sql.

SELECT 1;
