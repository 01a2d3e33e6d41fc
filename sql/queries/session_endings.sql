-- name: InsertSessionEnding :exec
INSERT INTO session_endings (session_id, ended_at) VALUES (?, ?);

-- name: ListSessionEndings :many
SELECT session_id FROM session_endings WHERE ended_at >= ?;

-- name: DeleteOldSessionEndings :execrows
DELETE FROM session_endings WHERE ended_at < ?;
