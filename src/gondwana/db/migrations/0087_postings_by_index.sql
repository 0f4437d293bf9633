-- How the checks of new postings and leases find what they refer to: SQLite does it row by row through an index, so
-- nothing changes. PostgreSQL: 0087_postings_by_index.postgres.sql.

SELECT 1;
