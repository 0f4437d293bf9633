-- name: orders
-- Spot orders that want machines, oldest first, those after :created_at and :id.
SELECT * FROM market_order WHERE state = 'open' AND mechanism = 'spot' AND (created_at, id) > (:created_at, :id)
ORDER BY created_at, id LIMIT :limit;

-- name: is_wanted
-- A row where anybody wants or runs something on spot.
SELECT 1 AS found WHERE EXISTS (SELECT 1 FROM market_order WHERE mechanism = 'spot' AND state = 'open')
    OR EXISTS (SELECT 1 FROM lease WHERE mechanism = 'spot' AND state <> 'closed');

-- name: orders_of_leases
-- The orders of running spot leases, oldest first.
SELECT * FROM market_order WHERE id IN (
    SELECT order_id FROM lease WHERE mechanism = 'spot' AND state <> 'closed' AND state <> 'reserved'
) ORDER BY created_at, id LIMIT :limit;

-- name: leases
-- Running spot leases, those that had their notice too.
SELECT * FROM lease WHERE mechanism = 'spot' AND state <> 'closed' AND state <> 'reserved'
ORDER BY machine_id, id LIMIT :limit;

-- name: reprice
-- A running lease at another price: what its seconds cost before is kept.
UPDATE lease SET price_micro_usd_per_device_hour = :price_micro_usd_per_device_hour,
    due_before_micro_usd = :due_before_micro_usd, priced_from_seconds = :priced_from_seconds
WHERE id = :id AND state = 'active';

-- name: called_at
-- When the last call was.
SELECT called_at FROM spot_round WHERE id = 1;

-- name: called
-- A call is made: the caller has seen, in this transaction, that it is due.
INSERT INTO spot_round (id, called_at) VALUES (1, :at) ON CONFLICT (id) DO UPDATE SET called_at = excluded.called_at;

-- name: add_call
-- What a call of one bucket came to.
INSERT INTO spot_call (model, region, at, price, bids, asks, traded, evicted)
VALUES (:model, :region, :at, :price, :bids, :asks, :traded, :evicted);

-- name: calls
-- A bucket's calls after :after, oldest first.
SELECT * FROM spot_call WHERE model = :model AND region = :region AND at > :after ORDER BY at LIMIT :limit;

-- name: in_force
-- The last call of a bucket until :at.
SELECT * FROM spot_call WHERE model = :model AND region = :region AND at <= :at ORDER BY at DESC LIMIT 1;

-- name: last_calls
-- What the last calls of all buckets came to.
SELECT * FROM spot_call WHERE at = (SELECT called_at FROM spot_round WHERE id = 1)
ORDER BY price, model, region LIMIT :limit;

-- name: last_trade
-- The last call of a bucket after :after at which something ran.
SELECT * FROM spot_call WHERE model = :model AND region = :region AND at > :after AND traded > 0
ORDER BY at DESC LIMIT 1;

-- name: forget
-- Calls before :before.
DELETE FROM spot_call WHERE at < :before;
