-- name: InsertUsedTicket :exec
INSERT INTO tickets (hash, session_id, expires_at) VALUES (?, ?, ?);

-- name: GetUsedTicket :one
SELECT hash, session_id, expires_at FROM tickets WHERE hash = ?;

-- name: DeleteExpiredTickets :execrows
DELETE FROM tickets WHERE expires_at < ?;
