-- name: events_after
-- Events numbered above :after, oldest first, at most :limit.
SELECT seq, at, kind, subject, job_id, data FROM event WHERE seq > :after ORDER BY seq LIMIT :limit;

-- name: events_of_job_after
-- Events of :job_id numbered above :after, oldest first, at most :limit.
SELECT seq, at, kind, subject, job_id, data FROM event
WHERE job_id = :job_id AND seq > :after ORDER BY seq LIMIT :limit;

-- name: last_event_seq
SELECT max(seq) AS seq FROM event;

-- name: numbers_without_gap
-- The numbers of the newest :count events, first and last, where they have no gap.
SELECT max(seq) - :count + 1 AS first, max(seq) AS last FROM event;

-- name: numbers_of_events
-- The same, first and last of each stretch without a gap: PostgreSQL gives no number again that was undone.
SELECT min(seq) AS first, max(seq) AS last
FROM (SELECT seq, seq - row_number() OVER (ORDER BY seq) AS stretch
      FROM (SELECT seq FROM event ORDER BY seq DESC LIMIT :count) AS newest) AS numbered
GROUP BY stretch ORDER BY first;

-- name: newest_event_at
-- When the newest event happened.
SELECT at FROM event WHERE seq = (SELECT max(seq) FROM event);

-- name: idempotent_response
-- What the write call of :principal under :key answered.
SELECT body_hash, response FROM idempotency WHERE principal = :principal AND key = :key;

-- name: insert_idempotent_response
INSERT INTO idempotency (principal, key, body_hash, response, at)
VALUES (:principal, :key, :body_hash, :response, :at);

-- name: setting
SELECT value FROM setting WHERE key = :key;

-- name: write_setting
INSERT INTO setting (key, value, at) VALUES (:key, :value, :at)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, at = excluded.at;

-- name: hold_blob
INSERT INTO blob_reference (name, holder, at) VALUES (:name, :holder, :at) ON CONFLICT (name, holder) DO NOTHING;

-- name: release_blobs
DELETE FROM blob_reference WHERE holder = :holder;

-- name: held_blobs
SELECT DISTINCT name FROM blob_reference;
