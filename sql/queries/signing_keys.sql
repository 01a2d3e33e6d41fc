-- name: InsertSigningKey :exec
INSERT INTO signing_keys (id, sealed, created_at, algorithm) VALUES (?, ?, ?, ?);

-- name: ListSigningKeys :many
SELECT id, sealed, created_at, algorithm FROM signing_keys ORDER BY created_at, id;

-- name: DeleteSigningKey :execrows
DELETE FROM signing_keys WHERE id = ?;
