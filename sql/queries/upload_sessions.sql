-- name: InsertUploadSession :exec
INSERT INTO upload_sessions (id, owner_id, kind, bytes, received, file, original_name, title, visibility, expires_at, created_at)
VALUES (?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?);

-- name: GetUploadSession :one
SELECT id, owner_id, kind, bytes, received, file, original_name, title, visibility, image_id, expires_at, created_at
FROM upload_sessions
WHERE id = ? AND owner_id = ? AND kind = ?;

-- name: SumUploadSessions :one
SELECT COUNT(*) AS sessions, CAST(COALESCE(SUM(bytes), 0) AS SIGNED) AS bytes
FROM upload_sessions
WHERE owner_id = ? AND image_id IS NULL AND expires_at > sqlc.arg(now);

-- name: AdvanceUploadSession :execrows
UPDATE upload_sessions
SET received = received + sqlc.arg(piece), expires_at = ?
WHERE id = ? AND received = sqlc.arg(position) AND image_id IS NULL;

-- name: CompleteUploadSession :execrows
UPDATE upload_sessions
SET received = bytes, image_id = ?, expires_at = ?
WHERE id = ? AND received = sqlc.arg(position) AND image_id IS NULL;

-- name: DeleteUploadSession :execrows
DELETE FROM upload_sessions WHERE id = ? AND received = sqlc.arg(position);

-- name: ListExpiredUploadSessions :many
SELECT id, owner_id, kind, bytes, received, file, original_name, title, visibility, image_id, expires_at, created_at
FROM upload_sessions
WHERE expires_at < sqlc.arg(now)
ORDER BY expires_at
LIMIT ?;

-- name: ListUploadSessionsOfOwner :many
SELECT id, owner_id, kind, bytes, received, file, original_name, title, visibility, image_id, expires_at, created_at
FROM upload_sessions
WHERE owner_id = ?
ORDER BY id
LIMIT ?;

-- name: InsertUploadPiece :exec
INSERT INTO upload_pieces (session_id, position, bytes, file) VALUES (?, ?, ?, ?);

-- name: ListUploadPieces :many
SELECT session_id, position, bytes, file
FROM upload_pieces
WHERE session_id = ?
ORDER BY position;

-- name: CountPiecesOfSession :one
SELECT COUNT(*) FROM upload_pieces WHERE session_id = ?;

-- name: DeleteUploadPieces :exec
DELETE FROM upload_pieces WHERE session_id = ?;
