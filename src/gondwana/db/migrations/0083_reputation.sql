-- What a machine's owner states of where it stands, and what its leases say of it; a filter may ask for both.

ALTER TABLE machine ADD COLUMN country TEXT NOT NULL DEFAULT ''; -- ISO 3166 code of two letters; '': not stated
ALTER TABLE machine ADD COLUMN reliability REAL NOT NULL DEFAULT 0.95; -- proven over promised time, with a prior
ALTER TABLE machine ADD COLUMN trust TEXT NOT NULL DEFAULT 'new' CHECK (trust IN ('new', 'proven', 'staked'));
