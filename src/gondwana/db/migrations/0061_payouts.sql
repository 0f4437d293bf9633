-- Money in and out: payouts and where they go, deposits that are not plain, promotional credit, frozen accounts.

CREATE TABLE payout_destination (
    principal_id TEXT PRIMARY KEY REFERENCES principal (id),
    rail TEXT NOT NULL,
    destination TEXT NOT NULL, -- an account's number: shown whole in a batch to pay, masked everywhere else
    holder TEXT NOT NULL, -- the account's holder, as the bank knows it
    changed_at REAL NOT NULL
) STRICT;

CREATE TABLE payout (
    id TEXT PRIMARY KEY,
    principal_id TEXT NOT NULL REFERENCES principal (id),
    account TEXT NOT NULL, -- of the books
    rail TEXT NOT NULL,
    destination TEXT NOT NULL, -- as it was when the payout was asked for
    holder TEXT NOT NULL,
    amount_micro_usd INTEGER NOT NULL CHECK (amount_micro_usd > 0),
    state TEXT NOT NULL,
    reference TEXT NOT NULL, -- the rail's own
    reason TEXT NOT NULL,
    batch_id TEXT,
    requested_at REAL NOT NULL,
    sent_at REAL,
    ended_at REAL
) STRICT;
CREATE INDEX payout_by_state ON payout (state, id);
CREATE INDEX payout_of_principal ON payout (principal_id, id);
CREATE INDEX payout_of_batch ON payout (batch_id) WHERE batch_id IS NOT NULL;

-- What waits for a rail: written with the hold, taken when a batch is made.

CREATE TABLE rail_outbox (
    payout_id TEXT PRIMARY KEY REFERENCES payout (id),
    rail TEXT NOT NULL,
    at REAL NOT NULL
) STRICT;
CREATE INDEX rail_outbox_of_rail ON rail_outbox (rail, payout_id);

CREATE TABLE payout_batch (
    id TEXT PRIMARY KEY,
    rail TEXT NOT NULL,
    made_at REAL NOT NULL
) STRICT;

-- What a rail told us, each thing once: the same told again changes nothing.

CREATE TABLE rail_inbox (
    rail TEXT NOT NULL,
    reference TEXT NOT NULL, -- the rail's own, with what kind of thing it is about
    content TEXT NOT NULL, -- hash of what was told: the same reference with other content is refused
    subject TEXT NOT NULL, -- the payout or deposit that it became
    at REAL NOT NULL,
    PRIMARY KEY (rail, reference)
) STRICT;

CREATE TABLE deposit (
    id TEXT PRIMARY KEY,
    rail TEXT NOT NULL,
    reference TEXT NOT NULL, -- what the payer wrote
    amount_micro_usd INTEGER NOT NULL CHECK (amount_micro_usd > 0),
    tenant_id TEXT REFERENCES principal (id), -- none while nobody knows whose it is
    sender TEXT NOT NULL,
    paid_on TEXT NOT NULL, -- the rail's date, 2026-11-23
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    made_at REAL NOT NULL,
    changed_at REAL NOT NULL
) STRICT;
CREATE INDEX deposit_by_state ON deposit (state, id);
CREATE INDEX deposit_of_tenant ON deposit (tenant_id, id);

CREATE TABLE deposit_code (
    tenant_id TEXT PRIMARY KEY REFERENCES principal (id),
    code TEXT NOT NULL UNIQUE,
    made_at REAL NOT NULL
) STRICT;

CREATE TABLE promo_grant (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES principal (id),
    amount_micro_usd INTEGER NOT NULL CHECK (amount_micro_usd > 0),
    why TEXT NOT NULL,
    granted_at REAL NOT NULL,
    expires_at REAL
) STRICT;
CREATE INDEX promo_grant_of_tenant ON promo_grant (tenant_id, id);

CREATE TABLE frozen_account (
    principal_id TEXT PRIMARY KEY REFERENCES principal (id),
    reason TEXT NOT NULL,
    at REAL NOT NULL
) STRICT;
