-- name: InsertAuditEvent :exec
INSERT INTO audit_events (id, user_id, actor, action, address, device, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: ListAuditEvents :many
SELECT id, user_id, actor, action, address, device, created_at
FROM audit_events
WHERE user_id = ? AND id < sqlc.arg(before)
ORDER BY id DESC
LIMIT ?;

-- name: GetLastAuditEventTime :one
SELECT created_at FROM audit_events WHERE user_id = ? AND action = ? ORDER BY id DESC LIMIT 1;

-- name: DeleteAuditEventsOfUser :execrows
DELETE FROM audit_events WHERE user_id = ?;

-- name: DeleteOldAuditEvents :execrows
DELETE FROM audit_events WHERE created_at < ?;
