-- name: save_bid
-- Write the whole row, new or changed.
INSERT INTO bid (
    id, order_id, machine_id, owner_id, state, devices, ask_micro_usd_per_device_hour,
    limit_micro_usd_per_device_hour, created_at, expires_at, ended_at, reason, price_micro_usd_per_device_hour
) VALUES (
    :id, :order_id, :machine_id, :owner_id, :state, :devices, :ask_micro_usd_per_device_hour,
    :limit_micro_usd_per_device_hour, :created_at, :expires_at, :ended_at, :reason, :price_micro_usd_per_device_hour
) ON CONFLICT (id) DO UPDATE SET
    state = excluded.state, ended_at = excluded.ended_at, reason = excluded.reason,
    price_micro_usd_per_device_hour = excluded.price_micro_usd_per_device_hour;

-- name: bid_by_id
-- One bid.
SELECT * FROM bid WHERE id = :id;

-- name: bids_of_orders
-- Every bid for these orders, oldest first.
SELECT * FROM bid WHERE order_id IN (:keys) ORDER BY created_at, id;

-- name: bids_of_owner
-- What an owner bid, newest first.
SELECT * FROM bid WHERE owner_id = :owner_id AND (:before IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit;

-- name: counts_of_orders
-- How many bids stand for each of these orders, or were decided on.
SELECT order_id, count(*) AS bids FROM bid WHERE state IN ('open', 'won', 'lost') AND order_id IN (:keys)
GROUP BY order_id;

-- name: bids_over
-- Bids that stood for as long as they may, and those whose orders want nothing any more.
SELECT bid.* FROM bid JOIN market_order ON market_order.id = bid.order_id
WHERE bid.state = 'open' AND (bid.expires_at <= :now OR market_order.state <> 'open') ORDER BY bid.expires_at, bid.id LIMIT :limit;

-- name: due_auctions
-- Auctions whose window has closed, the longest ago first.
SELECT * FROM market_order WHERE state = 'open' AND mechanism = 'auction' AND closes_at <= :now
ORDER BY closes_at, id LIMIT :limit;

-- name: open_auctions
-- Auctions that take bids now, those that close first before the others.
SELECT * FROM market_order WHERE state = 'open' AND mechanism = 'auction' AND closes_at > :now
ORDER BY closes_at, id LIMIT :limit;

-- name: auctions_of_tenant
-- A tenant's auctions, newest first.
SELECT * FROM market_order WHERE tenant_id = :tenant_id AND mechanism = 'auction'
    AND (:before IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit;

-- name: open_window
-- The auction takes bids until :closes_at.
UPDATE market_order SET closes_at = :closes_at WHERE id = :id AND state = 'open';
