-- How leases end ahead of their jobs, and what the next attempt goes on from.

CREATE INDEX lease_reclaiming ON lease (reclaim_at) WHERE state = 'reclaiming';
CREATE INDEX lease_ending ON lease (ends_at) WHERE state <> 'closed' AND ends_at IS NOT NULL;

CREATE INDEX run_assigned ON run (created_at) WHERE state = 'assigned';

ALTER TABLE run ADD COLUMN checkpoint TEXT; -- blob: what the next attempt of its node goes on from
