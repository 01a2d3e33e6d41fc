-- name: GetVerificationCode :one
SELECT phone, purpose, hash, tries, sent_at, expires_at
FROM verification_codes
WHERE phone = ? AND purpose = ?;

-- name: ClaimVerificationCode :execrows
UPDATE verification_codes SET sent_at = sqlc.arg(claimed_at)
WHERE phone = ? AND purpose = ? AND sent_at <= sqlc.arg(last_sent_at);

-- name: InsertVerificationCode :exec
INSERT INTO verification_codes (phone, purpose, hash, tries, sent_at, expires_at)
VALUES (?, ?, ?, ?, ?, ?);

-- name: SetVerificationCode :execrows
UPDATE verification_codes SET hash = ?, tries = 0, expires_at = ?
WHERE phone = ? AND purpose = ? AND sent_at = sqlc.arg(claimed_at);

-- name: ReleaseVerificationCode :exec
UPDATE verification_codes SET sent_at = sqlc.arg(last_sent_at)
WHERE phone = ? AND purpose = ? AND sent_at = sqlc.arg(claimed_at);

-- name: CountVerificationCodeTry :execrows
UPDATE verification_codes SET tries = tries + 1
WHERE phone = ? AND purpose = ? AND hash = ? AND tries < sqlc.arg(max_tries) AND expires_at > sqlc.arg(now);

-- name: UseVerificationCode :execrows
UPDATE verification_codes SET tries = sqlc.arg(used)
WHERE phone = ? AND purpose = ? AND hash = ? AND tries < sqlc.arg(used);

-- name: DeleteExpiredVerificationCodes :execrows
DELETE FROM verification_codes WHERE expires_at <= sqlc.arg(now) AND sent_at <= sqlc.arg(last_sent_at);
