-- name: InsertTicket :exec
INSERT INTO tickets (hash, session_id, expires_at) VALUES (?, ?, ?);

-- name: GetTicket :one
SELECT hash, session_id, expires_at FROM tickets WHERE hash = ?;

-- name: DeleteTicket :execrows
DELETE FROM tickets WHERE hash = ?;

-- name: DeleteExpiredTickets :execrows
DELETE FROM tickets WHERE expires_at < ?;
