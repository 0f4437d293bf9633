-- Who still needs which blob: what no row names, and is not young, may be collected.

CREATE TABLE blob_reference (
    name TEXT NOT NULL CHECK (length(name) = 64),
    holder TEXT NOT NULL, -- the id of the job, unit or run that needs it
    at REAL NOT NULL,
    PRIMARY KEY (name, holder)
) STRICT;
CREATE INDEX blob_reference_of_holder ON blob_reference (holder);
