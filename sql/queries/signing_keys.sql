-- name: InsertSigningKey :exec
INSERT INTO signing_keys (id, sealed, created_at) VALUES (?, ?, ?);

-- name: ListSigningKeys :many
SELECT id, sealed, created_at FROM signing_keys ORDER BY id;
