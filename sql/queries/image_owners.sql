-- name: TouchImageOwner :execrows
UPDATE image_owners SET uploaded_at = ? WHERE owner_id = ?;

-- name: InsertImageOwner :exec
INSERT INTO image_owners (owner_id, uploaded_at) VALUES (?, ?);

-- name: DeleteImageOwner :exec
DELETE FROM image_owners WHERE owner_id = ?;
