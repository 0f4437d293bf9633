-- Leases are metered in turns: neither those that are over nor all others are looked at to find the next, or the few that
-- are about to be stopped.

CREATE INDEX lease_metered ON lease (id) WHERE charge = 'second' AND state IN ('active', 'reclaiming');
CREATE INDEX lease_draining ON lease (id) WHERE notice = 'drain';
