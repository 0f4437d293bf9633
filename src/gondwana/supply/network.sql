-- name: save_pair
-- What was measured between two machines, in place of what was before.
INSERT INTO machine_pair (
    low_id, high_id, round_trip_seconds, up_bits_per_second, down_bits_per_second, measured_at
) VALUES (
    :low_id, :high_id, :round_trip_seconds, :up_bits_per_second, :down_bits_per_second, :measured_at
) ON CONFLICT (low_id, high_id) DO UPDATE SET
    round_trip_seconds = excluded.round_trip_seconds, up_bits_per_second = excluded.up_bits_per_second,
    down_bits_per_second = excluded.down_bits_per_second, measured_at = excluded.measured_at;

-- name: pairs_of
-- The links of these machines, as far as the lesser of both names is among them.
SELECT * FROM machine_pair WHERE low_id IN (:keys);

-- name: pairs_of_machine
-- A machine's links, newest first.
SELECT * FROM machine_pair WHERE low_id = :id OR high_id = :id ORDER BY measured_at DESC, low_id, high_id;

-- name: drop_pair
-- Forget one link.
DELETE FROM machine_pair WHERE low_id = :low_id AND high_id = :high_id;

-- name: drop_pairs_before
-- Forget the links measured before :instant.
DELETE FROM machine_pair WHERE measured_at < :instant;

-- name: newest_pair
-- When a link was measured last.
SELECT max(measured_at) AS at FROM machine_pair;

-- name: near_pairs
-- The links between machines of one owner that are short, by name.
SELECT machine_pair.* FROM machine_pair
JOIN machine AS low ON low.id = low_id JOIN machine AS high ON high.id = high_id
WHERE low.owner_id = high.owner_id AND round_trip_seconds <= :round_trip_seconds_max
ORDER BY low_id, high_id LIMIT :limit;

-- name: sited
-- Machines that are said to stand at a site.
SELECT * FROM machine WHERE site <> '' ORDER BY site, id LIMIT :limit;
