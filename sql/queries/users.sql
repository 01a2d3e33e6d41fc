-- name: InsertUser :exec
INSERT INTO users (id, phone, password_hash, nickname, home_visits, last_login_at, last_seen_at, created_at, updated_at)
VALUES (?, ?, ?, ?, 0, NULL, ?, ?, ?);

-- name: GetUser :one
SELECT id, password_hash, nickname, home_visits, last_login_at, created_at, updated_at,
    phone, avatar_id, avatar_name, birthday, gender, bio, metadata, last_seen_at, disabled_at, erase_at
FROM users
WHERE id = ?;

-- name: GetUserByPhone :one
SELECT id, password_hash, nickname, home_visits, last_login_at, created_at, updated_at,
    phone, avatar_id, avatar_name, birthday, gender, bio, metadata, last_seen_at, disabled_at, erase_at
FROM users
WHERE phone = ?;

-- name: SetUserLastLogin :exec
UPDATE users SET last_login_at = ?, last_seen_at = ?, erase_at = NULL, updated_at = ? WHERE id = ?;

-- name: SetUserPasswordHash :exec
UPDATE users SET password_hash = sqlc.arg(new_hash), updated_at = ?
WHERE id = ? AND password_hash = sqlc.arg(old_hash);

-- name: AddHomeVisit :execrows
UPDATE users SET home_visits = home_visits + 1, updated_at = ? WHERE id = ?;
