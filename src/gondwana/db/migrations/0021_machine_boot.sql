-- Which life of its agent a machine is in.

ALTER TABLE machine ADD COLUMN boot TEXT NOT NULL DEFAULT '';
