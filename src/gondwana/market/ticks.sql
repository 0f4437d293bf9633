-- name: latest
-- What each bucket was last seen to hold.
SELECT * FROM price_tick WHERE is_latest = 1 AND (model > :model OR (model = :model AND region > :region))
ORDER BY model, region LIMIT :limit;

-- name: no_longer_latest
-- A newer one of this bucket follows in the same transaction.
UPDATE price_tick SET is_latest = 0 WHERE model = :model AND region = :region AND is_latest = 1;

-- name: insert
-- A bucket as it is from :at on.
INSERT INTO price_tick (
    model, region, at, hour, is_latest, is_fine, devices, rentable, leased, closed,
    ask_lowest, ask_median, ask_highest, work_lowest, work_median
) VALUES (
    :model, :region, :at, :hour, :is_latest, :is_fine, :devices, :rentable, :leased, :closed,
    :ask_lowest, :ask_median, :ask_highest, :work_lowest, :work_median
);

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
