-- name: add_tag
-- A new row.
INSERT INTO machine_tag (id, machine_id, name, signer_id, signed_at, expires_at, revoked_at, evidence)
VALUES (:id, :machine_id, :name, :signer_id, :signed_at, :expires_at, :revoked_at, :evidence);

-- name: revoke_tag
-- It stands no more; a tag that was revoked stays so.
UPDATE machine_tag SET revoked_at = :at WHERE id = :id AND revoked_at IS NULL;

-- name: tag_by_id
-- One tag with its signer's name.
SELECT machine_tag.*, principal.name AS signer FROM machine_tag
JOIN principal ON principal.id = machine_tag.signer_id WHERE machine_tag.id = :id;

-- name: tags
-- Tags of one machine, or of all when :machine_id is null, revoked ones too.
SELECT machine_tag.*, principal.name AS signer FROM machine_tag
JOIN principal ON principal.id = machine_tag.signer_id
WHERE (:machine_id IS NULL OR machine_tag.machine_id = :machine_id) AND machine_tag.id > :after
ORDER BY machine_tag.id LIMIT :limit;

-- name: tags_of
-- What nobody revoked of these machines, expired or not.
SELECT machine_tag.*, principal.name AS signer FROM machine_tag
JOIN principal ON principal.id = machine_tag.signer_id
WHERE machine_tag.revoked_at IS NULL AND machine_tag.machine_id IN (:keys);

-- name: tags_between
-- The same of all machines from :first to :last.
SELECT machine_tag.*, principal.name AS signer FROM machine_tag
JOIN principal ON principal.id = machine_tag.signer_id
WHERE machine_tag.revoked_at IS NULL AND machine_tag.machine_id BETWEEN :first AND :last;

-- name: machines_called
-- Machines of this id or name that have not left, whoever owns them.
SELECT * FROM machine WHERE (id = :name OR name = :name) AND state <> 'left' ORDER BY id LIMIT :limit;
