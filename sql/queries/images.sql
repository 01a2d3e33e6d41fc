-- name: InsertImage :exec
INSERT INTO images (id, owner_id, name, original_name, bytes, width, height, content_type, sha256, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: GetImageOfOwner :one
SELECT id, owner_id, name, original_name, bytes, width, height, content_type, sha256, created_at
FROM images
WHERE id = ? AND owner_id = ?;

-- name: ListImagesOfOwner :many
SELECT id, owner_id, name, original_name, bytes, width, height, content_type, sha256, created_at
FROM images
WHERE owner_id = ? AND id < sqlc.arg(before)
ORDER BY id DESC
LIMIT ?;

-- name: DeleteImages :exec
DELETE FROM images WHERE id IN (sqlc.slice(ids));
