-- What auditors signed of machines; a row is kept when it is revoked or has expired.

CREATE TABLE machine_tag (
    id TEXT PRIMARY KEY,
    machine_id TEXT NOT NULL REFERENCES machine (id),
    name TEXT NOT NULL,
    signer_id TEXT NOT NULL REFERENCES principal (id),
    signed_at REAL NOT NULL,
    expires_at REAL NOT NULL CHECK (expires_at > signed_at),
    revoked_at REAL,
    evidence TEXT NOT NULL -- the hash of what was seen, or where it is kept; '' where nothing was told
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX machine_tag_standing ON machine_tag (machine_id, name, signer_id) WHERE revoked_at IS NULL;
