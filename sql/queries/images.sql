-- name: InsertImage :exec
INSERT INTO images (id, owner_id, name, original_name, bytes, width, height, content_type, sha256, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?);
