-- name: latest
-- What each bucket was last seen to hold.
SELECT * FROM price_tick WHERE is_latest = 1 AND (model > :model OR (model = :model AND region > :region))
ORDER BY model, region LIMIT :limit;

-- name: latest_of
-- Since when these buckets, a JSON list of [model, region], have held what they hold.
SELECT tick.model, tick.region, tick.at FROM json_each(:buckets) AS bucket
JOIN price_tick AS tick ON tick.model = json_extract(bucket.value, '$[0]')
    AND tick.region = json_extract(bucket.value, '$[1]') AND tick.is_latest = 1;

-- name: latest_of (postgres)
SELECT tick.model, tick.region, tick.at FROM json_array_elements(:buckets::JSON) AS bucket
JOIN price_tick AS tick ON tick.model = bucket ->> 0 AND tick.region = bucket ->> 1 AND tick.is_latest = 1;

-- name: no_longer_latest
-- A newer one of each of these follows in the same transaction.
UPDATE price_tick SET is_latest = 0 FROM json_each(:buckets) AS bucket
WHERE price_tick.model = json_extract(bucket.value, '$[0]') AND price_tick.region = json_extract(bucket.value, '$[1]')
    AND price_tick.is_latest = 1;

-- name: no_longer_latest (postgres)
UPDATE price_tick SET is_latest = 0 FROM json_array_elements(:buckets::JSON) AS bucket
WHERE price_tick.model = bucket ->> 0 AND price_tick.region = bucket ->> 1 AND price_tick.is_latest = 1;

-- name: history
-- A bucket's ticks after :after, oldest first.
SELECT * FROM price_tick WHERE model = :model AND region = :region AND at > :after ORDER BY at LIMIT :limit;

-- name: in_force
-- What a bucket held at :at.
SELECT * FROM price_tick WHERE model = :model AND region = :region AND at <= :at ORDER BY at DESC LIMIT 1;

-- name: is_old
-- A row where something is to be thinned or deleted.
SELECT 1 AS found WHERE EXISTS (SELECT 1 FROM price_tick WHERE is_fine = 1 AND hour < :hour)
    OR EXISTS (SELECT 1 FROM price_tick WHERE at < :before AND (is_latest = 0 OR devices = 0));

-- name: thin
-- Of each hour before :hour only its last tick stays.
DELETE FROM price_tick WHERE is_fine = 1 AND hour < :hour AND EXISTS (
    SELECT 1 FROM price_tick AS later WHERE later.model = price_tick.model AND later.region = price_tick.region
        AND later.at > price_tick.at AND later.at < (price_tick.hour + 1) * 3600);

-- name: thinned
-- That was done.
UPDATE price_tick SET is_fine = 0 WHERE is_fine = 1 AND hour < :hour;

-- name: forget
-- What was before :before, but not what still holds.
DELETE FROM price_tick WHERE at < :before AND (is_latest = 0 OR devices = 0);
