-- Who writes: one row, whose term grows each time another takes over.

CREATE TABLE leadership (
    id INTEGER NOT NULL CHECK (id = 1),
    term INTEGER NOT NULL CHECK (term >= 0),
    holder TEXT NOT NULL, -- host and process, for people
    taken_at REAL NOT NULL,
    PRIMARY KEY (id)
) STRICT;

INSERT INTO leadership (id, term, holder, taken_at) VALUES (1, 0, '', 0);
