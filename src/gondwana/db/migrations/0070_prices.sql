-- What the market held of each device model in each region: a row whenever that changed, looked at once a minute.

CREATE TABLE price_tick (
    model TEXT NOT NULL,
    region TEXT NOT NULL,
    at REAL NOT NULL,
    hour INTEGER NOT NULL, -- since 1970
    is_latest INTEGER NOT NULL CHECK (is_latest IN (0, 1)),
    is_fine INTEGER NOT NULL CHECK (is_fine IN (0, 1)), -- 0: its hour was thinned to its last row
    devices INTEGER NOT NULL,
    rentable INTEGER NOT NULL CHECK (rentable >= 0),
    leased INTEGER NOT NULL CHECK (leased >= 0),
    closed INTEGER NOT NULL CHECK (closed >= 0),
    ask_lowest INTEGER, -- micro-USD per device-hour, of what was rentable
    ask_median INTEGER,
    ask_highest INTEGER,
    work_lowest INTEGER, -- micro-USD per million reference steps, the same
    work_median INTEGER,
    PRIMARY KEY (model, region, at),
    CHECK (devices = rentable + leased + closed)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX price_tick_latest ON price_tick (model, region) WHERE is_latest = 1;
CREATE INDEX price_tick_fine ON price_tick (hour) WHERE is_fine = 1;
CREATE INDEX price_tick_by_time ON price_tick (at);
