-- name: InsertIdempotentAnswer :exec
INSERT INTO idempotent_answers (hash, fingerprint, answer, expires_at) VALUES (?, ?, ?, ?);

-- name: ReplaceExpiredIdempotentAnswer :execrows
UPDATE idempotent_answers
SET fingerprint = ?, answer = ?, expires_at = sqlc.arg(expires_at)
WHERE hash = ? AND expires_at <= sqlc.arg(now);

-- name: GetIdempotentAnswer :one
SELECT fingerprint, answer FROM idempotent_answers WHERE hash = ? AND expires_at > sqlc.arg(now);

-- name: DeleteExpiredIdempotentAnswers :execrows
DELETE FROM idempotent_answers WHERE expires_at <= sqlc.arg(now);
