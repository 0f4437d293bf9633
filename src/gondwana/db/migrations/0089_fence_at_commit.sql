-- When a leader looks whether it still leads: SQLite's looks as a transaction begins, which locks the file.
-- PostgreSQL: 0089_fence_at_commit.postgres.sql.

SELECT 1;
