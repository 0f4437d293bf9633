-- A machine's epoch is that of its newest lease: leasing writes no machine, whose row is wide.

ALTER TABLE machine DROP COLUMN epoch;
