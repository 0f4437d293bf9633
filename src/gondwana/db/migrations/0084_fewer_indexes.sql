-- A new lease writes less: an index that nobody asked is gone, and what only live things are asked by leaves them alone
-- while they move from state to state.

DROP INDEX event_of_subject;

DROP INDEX job_by_state;
CREATE INDEX job_live ON job (created_at, id) WHERE ended_at IS NULL;
CREATE INDEX job_live_of_tenant ON job (tenant_id) WHERE ended_at IS NULL; -- their leases are found by lease_of_job
DROP INDEX lease_live_of_tenant;

DROP INDEX market_order_by_state;
CREATE INDEX market_order_open ON market_order (created_at, id) WHERE state = 'open';
CREATE INDEX market_order_standing ON market_order (tenant_id) WHERE is_standing = 1;

CREATE INDEX market_order_auctions_of_tenant ON market_order (tenant_id, id) WHERE mechanism = 'auction';

DROP INDEX job_of_tenant;
CREATE INDEX job_of_tenant ON job (tenant_id, id); -- ids rise with time: what a tenant launched is read newest first

DROP INDEX lease_to_service; -- those that live are in lease_metered
CREATE INDEX lease_over_to_service ON lease (id) WHERE state = 'closed' AND charge = 'second' AND serviced_at IS NULL;
