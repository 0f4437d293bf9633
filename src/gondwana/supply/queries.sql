-- name: save_machine
-- Write the whole row, new or changed.
INSERT INTO machine (
    id, owner_id, name, region, country, public_key, state, reason, devices, cpus_max, memory_bytes_max,
    sla, inventory, speed, network, site, isolation, address, boot, joined_at, proven_at, rejections_in_row
) VALUES (
    :id, :owner_id, :name, :region, :country, :public_key, :state, :reason, :devices, :cpus_max,
    :memory_bytes_max, :sla, :inventory, :speed, :network, :site, :isolation, :address, :boot, :joined_at,
    :proven_at, :rejections_in_row
) ON CONFLICT (id) DO UPDATE SET
    owner_id = excluded.owner_id, name = excluded.name, region = excluded.region, country = excluded.country,
    public_key = excluded.public_key, state = excluded.state, reason = excluded.reason,
    devices = excluded.devices, cpus_max = excluded.cpus_max,
    memory_bytes_max = excluded.memory_bytes_max, sla = excluded.sla, inventory = excluded.inventory,
    speed = excluded.speed, network = excluded.network, site = excluded.site,
    isolation = excluded.isolation, address = excluded.address, boot = excluded.boot,
    joined_at = excluded.joined_at, proven_at = excluded.proven_at,
    rejections_in_row = excluded.rejections_in_row;

-- name: save_offer
-- Write the whole row, new or changed.
INSERT INTO offer (
    id, machine_id, state, price_micro_usd_per_device_hour, notice_seconds,
    spot_floor_micro_usd_per_device_hour, reserve_seconds_max, discounts
) VALUES (
    :id, :machine_id, :state, :price_micro_usd_per_device_hour, :notice_seconds,
    :spot_floor_micro_usd_per_device_hour, :reserve_seconds_max, :discounts
) ON CONFLICT (id) DO UPDATE SET
    machine_id = excluded.machine_id, state = excluded.state,
    price_micro_usd_per_device_hour = excluded.price_micro_usd_per_device_hour,
    notice_seconds = excluded.notice_seconds,
    spot_floor_micro_usd_per_device_hour = excluded.spot_floor_micro_usd_per_device_hour,
    reserve_seconds_max = excluded.reserve_seconds_max, discounts = excluded.discounts;

-- name: machine_by_id
-- One machine.
SELECT * FROM machine WHERE id = :id;

-- name: machines_by_id
-- These machines.
SELECT * FROM machine WHERE id IN (:keys);

-- name: machine_by_name
-- An owner's machine by its name, unless it left.
SELECT * FROM machine WHERE owner_id = :owner_id AND name = :name;

-- name: machine_by_key
-- The machine that holds this key.
SELECT * FROM machine WHERE public_key = :public_key;

-- name: machines
-- Machines of one owner, or of all when :owner_id is null.
SELECT * FROM machine WHERE (:owner_id IS NULL OR owner_id = :owner_id) AND id > :after ORDER BY id LIMIT :limit;

-- name: silent_since
-- Serving machines whose last proof of life is before :instant.
SELECT * FROM machine WHERE state IN ('up', 'paused', 'draining', 'owner_busy')
    AND coalesce(proven_at, joined_at) < :instant ORDER BY id LIMIT :limit;

-- name: alive_again
-- Machines that are down but proved to be alive after :instant.
SELECT * FROM machine WHERE state = 'down' AND proven_at > :instant AND reason <> :stopped ORDER BY id LIMIT :limit;

-- name: draining
-- Machines that leave once they serve nothing.
SELECT * FROM machine WHERE state = 'draining' ORDER BY id LIMIT :limit;

-- name: offer_of_machine
-- What a machine sells.
SELECT * FROM offer WHERE machine_id = :machine_id;

-- name: supply
-- Every offer of a measured machine that is not withdrawn, with how many devices live leases and open bids hold and the
-- newest lease's epoch.
SELECT machine.*, offer.id AS offer_id, offer.state AS offer_state, offer.price_micro_usd_per_device_hour,
    offer.notice_seconds, offer.spot_floor_micro_usd_per_device_hour,
    offer.reserve_seconds_max, offer.discounts,
    coalesce((SELECT sum(lease.devices) FROM lease
              WHERE lease.machine_id = machine.id AND lease.state <> 'closed'), 0)
    + coalesce((SELECT sum(bid.devices) FROM bid
                WHERE bid.machine_id = machine.id AND bid.state = 'open'), 0) AS devices_leased,
    coalesce((SELECT max(lease.epoch) FROM lease WHERE lease.machine_id = machine.id), 0) AS epoch
FROM machine JOIN offer ON offer.machine_id = machine.id
WHERE offer.state <> 'withdrawn' AND machine.inventory IS NOT NULL AND machine.id > :after
ORDER BY machine.id LIMIT :limit;

-- name: numbers
-- Every offer of a measured machine that is not withdrawn, in the few columns that a search needs.
SELECT machine.id, machine.owner_id, machine.region,
    CASE WHEN machine.state = 'up' AND offer.state = 'open' THEN 1 ELSE 0 END AS is_open, machine.isolation,
    machine.devices, machine.cpus_max, machine.memory_bytes_max, machine.joined_at,
    offer.price_micro_usd_per_device_hour, offer.notice_seconds,
    CAST(coalesce((SELECT sum(lease.devices) FROM lease
                   WHERE lease.machine_id = machine.id AND lease.state <> 'closed'), 0)
    + coalesce((SELECT sum(bid.devices) FROM bid
                WHERE bid.machine_id = machine.id AND bid.state = 'open'), 0) AS BIGINT) AS devices_leased,
    machine.inventory, machine.speed
FROM machine JOIN offer ON offer.machine_id = machine.id
WHERE offer.state <> 'withdrawn' AND machine.inventory IS NOT NULL AND machine.id > :after
ORDER BY machine.id LIMIT :limit;

-- name: supply_of
-- The same of these machines.
SELECT machine.*, offer.id AS offer_id, offer.state AS offer_state, offer.price_micro_usd_per_device_hour,
    offer.notice_seconds, offer.spot_floor_micro_usd_per_device_hour,
    offer.reserve_seconds_max, offer.discounts,
    coalesce((SELECT sum(lease.devices) FROM lease
              WHERE lease.machine_id = machine.id AND lease.state <> 'closed'), 0)
    + coalesce((SELECT sum(bid.devices) FROM bid
                WHERE bid.machine_id = machine.id AND bid.state = 'open'), 0) AS devices_leased,
    coalesce((SELECT max(lease.epoch) FROM lease WHERE lease.machine_id = machine.id), 0) AS epoch
FROM machine JOIN offer ON offer.machine_id = machine.id
WHERE offer.state <> 'withdrawn' AND machine.inventory IS NOT NULL AND machine.id IN (:keys);

-- name: held
-- How many devices live leases and open bids hold of these machines, and their epochs.
SELECT machine.id, coalesce((SELECT max(lease.epoch) FROM lease WHERE lease.machine_id = machine.id), 0) AS epoch,
    coalesce((SELECT sum(lease.devices) FROM lease
              WHERE lease.machine_id = machine.id AND lease.state <> 'closed'), 0)
    + coalesce((SELECT sum(bid.devices) FROM bid
                WHERE bid.machine_id = machine.id AND bid.state = 'open'), 0) AS devices_leased
FROM machine WHERE machine.id IN (:keys);

-- name: owners
-- Whose these machines are.
SELECT id, owner_id FROM machine WHERE id IN (:keys);

-- name: prove_life
-- The machine is alive at :now.
UPDATE machine SET proven_at = :now WHERE id = :id;

-- name: rate
-- What their leases say of machines, a JSON list of [id, reliability, trust]; a whole row's save leaves it as it is.
UPDATE machine SET reliability = json_extract(rated.value, '$[1]'), trust = json_extract(rated.value, '$[2]')
FROM json_each(:rated) AS rated WHERE machine.id = json_extract(rated.value, '$[0]')
RETURNING machine.id, machine.name;

-- name: rate (postgres)
UPDATE machine SET reliability = (rated ->> 1)::DOUBLE PRECISION, trust = rated ->> 2
FROM json_array_elements(:rated::JSON) AS rated WHERE machine.id = rated ->> 0
RETURNING machine.id, machine.name;

-- name: is_priced
-- Whether a policy sets the machine's price.
SELECT 1 AS found FROM price_policy WHERE machine_id = :machine_id;

-- name: last_proven
-- The newest proof of life of any machine, by the end of the index of each state.
SELECT max(newest) AS at FROM (
    SELECT (SELECT max(proven_at) FROM machine WHERE machine.state = known.state) AS newest
    FROM (
        SELECT 'joining' AS state UNION ALL SELECT 'probing' UNION ALL SELECT 'up' UNION ALL SELECT 'owner_busy'
        UNION ALL SELECT 'paused' UNION ALL SELECT 'draining' UNION ALL SELECT 'left' UNION ALL SELECT 'down'
        UNION ALL SELECT 'suspended'
    ) AS known
) AS heard;
