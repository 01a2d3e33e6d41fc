-- name: InsertSession :exec
INSERT INTO sessions (id, user_id, created_at, expires_at, token_hash, device, address, last_seen_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: GetSession :one
SELECT id, user_id, created_at, expires_at, generation, token_hash, rotated_at, device, address, last_seen_at
FROM sessions WHERE id = ?;

-- name: ListSessions :many
SELECT id, user_id, created_at, expires_at, generation, token_hash, rotated_at, device, address, last_seen_at
FROM sessions WHERE user_id = ? AND expires_at > ?
ORDER BY COALESCE(last_seen_at, created_at) DESC, id DESC LIMIT ?;

-- name: ListOtherSessionIDs :many
SELECT id FROM sessions WHERE user_id = ? AND id <> ? ORDER BY id;

-- name: ListSurplusSessionIDs :many
SELECT id FROM sessions WHERE user_id = ? ORDER BY COALESCE(last_seen_at, created_at) DESC, id DESC LIMIT ? OFFSET ?;

-- name: RotateSession :execrows
UPDATE sessions SET generation = sqlc.arg(generation), token_hash = sqlc.arg(next_hash), rotated_at = sqlc.arg(rotated_at),
    expires_at = sqlc.arg(expires_at), device = sqlc.arg(device), address = sqlc.arg(address),
    last_seen_at = sqlc.arg(last_seen_at)
WHERE id = sqlc.arg(id) AND token_hash = sqlc.arg(current_hash);

-- name: SetSessionSeen :execrows
UPDATE sessions SET last_seen_at = ? WHERE id = ? AND generation = ?;

-- name: DeleteSession :execrows
DELETE FROM sessions WHERE id = ? AND user_id = ?;

-- name: DeleteExpiredSessions :execrows
DELETE FROM sessions WHERE expires_at < ?;
