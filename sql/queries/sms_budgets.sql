-- name: InsertSMSBudget :exec
INSERT INTO sms_budgets (name, starts_at, sent, verified, expires_at) VALUES (?, ?, 0, 0, ?);

-- name: ListSMSBudgets :many
SELECT name, starts_at, sent, verified, expires_at
FROM sms_budgets
WHERE name IN (sqlc.slice(names)) AND starts_at >= ?;

-- name: ChargeSMSBudget :execrows
UPDATE sms_budgets SET sent = sent + 1
WHERE name = ? AND starts_at = ? AND sent < sqlc.arg(most);

-- name: RefundSMSBudget :exec
UPDATE sms_budgets SET sent = sent - 1
WHERE name = ? AND starts_at = ? AND sent > 0;

-- name: CountVerifiedSMS :exec
UPDATE sms_budgets SET verified = verified + 1
WHERE name = ? AND starts_at = ?;

-- name: DeleteExpiredSMSBudgets :execrows
DELETE FROM sms_budgets WHERE expires_at <= ?;

-- name: SumSMSBreakers :many
SELECT name, CAST(SUM(sent) AS SIGNED) AS sent, CAST(SUM(verified) AS SIGNED) AS verified
FROM sms_budgets
WHERE name LIKE 'breaker:%' AND starts_at >= ?
GROUP BY name;
