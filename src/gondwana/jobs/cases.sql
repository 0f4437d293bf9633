-- name: units_rejected
-- The training and evaluation units of a machine that were rejected last, newest first, at most :limit.
SELECT * FROM unit WHERE machine_id = :machine_id AND state = 'rejected' ORDER BY delivered_at DESC, id DESC LIMIT :limit;

-- name: machines_named
-- The machine of this id, and at most two of this name: one is found, two have to be told apart.
SELECT id FROM machine WHERE id = :name
UNION SELECT id FROM (SELECT id FROM machine WHERE name = :name AND id <> :name ORDER BY id LIMIT 2) AS named;
