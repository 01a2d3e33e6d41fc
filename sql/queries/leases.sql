-- name: TakeLease :execrows
-- One that expires later than any can was taken by a clock that was wrong.
UPDATE leases
SET holder = ?, expires_at = sqlc.arg(expires_at)
WHERE name = ? AND (expires_at < sqlc.arg(now) OR expires_at > sqlc.arg(latest));

-- name: InsertLease :exec
INSERT INTO leases (name, holder, expires_at) VALUES (?, ?, ?);

-- name: GetLease :one
SELECT name, holder, expires_at FROM leases WHERE name = ?;

-- name: RenewLease :execrows
UPDATE leases SET expires_at = ? WHERE name = ? AND holder = ?;

-- name: EndLease :exec
DELETE FROM leases WHERE name = ? AND holder = ?;
