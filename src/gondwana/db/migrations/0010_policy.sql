-- Who may do what.

CREATE TABLE principal (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at REAL NOT NULL
) STRICT;

CREATE TABLE token (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    principal_id TEXT NOT NULL REFERENCES principal (id),
    scopes TEXT NOT NULL, -- JSON list
    created_at REAL NOT NULL,
    revoked_at REAL
) STRICT;
