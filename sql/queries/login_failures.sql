-- name: AddLoginFailure :execrows
-- Counts one more, unless the name has to wait. Failures that have expired don't count any more.
UPDATE login_failures
SET failures = CASE WHEN expires_at <= sqlc.arg(now) THEN 1 ELSE failures + 1 END,
    expires_at = CASE WHEN expires_at <= sqlc.arg(now) OR sqlc.arg(prolong) = TRUE THEN sqlc.arg(expires_at) ELSE expires_at END
WHERE name = sqlc.arg(name) AND retry_at <= sqlc.arg(now);

-- name: InsertLoginFailure :exec
INSERT INTO login_failures (name, failures, retry_at, expires_at) VALUES (?, 1, ?, ?);

-- name: GetLoginFailure :one
SELECT name, failures, retry_at, expires_at FROM login_failures WHERE name = ?;

-- name: ListLoginDelays :many
SELECT name, retry_at FROM login_failures
WHERE name IN (sqlc.arg(phone), sqlc.arg(address)) AND retry_at > sqlc.arg(now)
ORDER BY retry_at DESC;

-- name: DelayLogin :exec
UPDATE login_failures SET retry_at = ? WHERE name = ?;

-- name: TakeLoginFailureBack :exec
-- Undoes the delay too, if it is that of the try that is taken back.
UPDATE login_failures
SET failures = failures - 1, retry_at = CASE WHEN retry_at = sqlc.arg(charged) THEN sqlc.arg(no_wait) ELSE retry_at END
WHERE name = sqlc.arg(name) AND failures > 0;

-- name: DeleteLoginFailures :exec
DELETE FROM login_failures WHERE name = ?;

-- name: DeleteExpiredLoginFailures :execrows
DELETE FROM login_failures WHERE expires_at <= ?;
