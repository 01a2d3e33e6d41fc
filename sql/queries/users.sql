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

-- name: ListUsers :many
SELECT id, password_hash, nickname, home_visits, last_login_at, created_at, updated_at,
    phone, avatar_id, avatar_name, birthday, gender, bio, metadata, last_seen_at, disabled_at, erase_at
FROM users
WHERE id > ?
ORDER BY id
LIMIT ?;

-- name: LogUserIn :execrows
-- Only the user whose secret was checked, and who is neither disabled nor to be erased by now.
UPDATE users
SET last_login_at = sqlc.arg(now), last_seen_at = sqlc.arg(now), updated_at = ?,
    erase_at = NULL, password_hash = sqlc.arg(new_hash)
WHERE id = sqlc.arg(id) AND phone = sqlc.arg(phone) AND password_hash = sqlc.arg(checked_hash) AND disabled_at IS NULL
    AND (erase_at IS NULL OR erase_at > sqlc.arg(erased_before));

-- name: SetUserPassword :execrows
UPDATE users SET password_hash = sqlc.arg(new_hash), updated_at = ?
WHERE id = sqlc.arg(id) AND phone = sqlc.arg(phone) AND password_hash = sqlc.arg(checked_hash) AND disabled_at IS NULL;

-- name: ForceUserPassword :exec
UPDATE users SET password_hash = ?, updated_at = ? WHERE id = ?;

-- name: SetUserPhone :execrows
UPDATE users SET phone = sqlc.arg(new_phone), updated_at = ?
WHERE id = sqlc.arg(id) AND phone = sqlc.arg(phone) AND disabled_at IS NULL AND erase_at IS NULL;

-- name: LeaveUserBehind :execrows
-- Only while nobody has come back to the account.
UPDATE users SET phone = NULL, updated_at = ?
WHERE id = sqlc.arg(id) AND phone = sqlc.arg(phone) AND disabled_at IS NULL
    AND (last_login_at IS NULL OR last_login_at < sqlc.arg(absent_since))
    AND (last_seen_at IS NULL OR last_seen_at < sqlc.arg(absent_since));

-- name: UpdateUserProfile :execrows
UPDATE users
SET nickname = CASE WHEN sqlc.arg(set_nickname) = TRUE THEN sqlc.arg(new_nickname) ELSE nickname END,
    avatar_id = CASE WHEN sqlc.arg(set_avatar) = TRUE THEN sqlc.narg(new_avatar_id) ELSE avatar_id END,
    avatar_name = CASE WHEN sqlc.arg(set_avatar) = TRUE THEN sqlc.narg(new_avatar_name) ELSE avatar_name END,
    birthday = CASE WHEN sqlc.arg(set_birthday) = TRUE THEN sqlc.narg(new_birthday) ELSE birthday END,
    gender = CASE WHEN sqlc.arg(set_gender) = TRUE THEN sqlc.narg(new_gender) ELSE gender END,
    bio = CASE WHEN sqlc.arg(set_bio) = TRUE THEN sqlc.narg(new_bio) ELSE bio END,
    metadata = CASE WHEN sqlc.arg(set_metadata) = TRUE THEN sqlc.narg(new_metadata) ELSE metadata END,
    updated_at = ?
WHERE id = sqlc.arg(id) AND phone IS NOT NULL AND erase_at IS NULL;

-- name: AddHomeVisit :execrows
UPDATE users SET home_visits = home_visits + 1, updated_at = ? WHERE id = ? AND phone IS NOT NULL AND erase_at IS NULL;

-- name: SetUserSeen :exec
UPDATE users SET last_seen_at = ? WHERE id = ?;

-- name: DisableUser :exec
UPDATE users SET disabled_at = COALESCE(disabled_at, sqlc.arg(now)), updated_at = ? WHERE id = sqlc.arg(id);

-- name: EnableUser :exec
UPDATE users SET disabled_at = NULL, updated_at = ? WHERE id = sqlc.arg(id);

-- name: ScheduleErasure :execrows
-- An erasure may come earlier, but not be put off.
UPDATE users SET erase_at = sqlc.arg(erase_at), updated_at = ?
WHERE id = sqlc.arg(id) AND password_hash = sqlc.arg(checked_hash) AND (erase_at IS NULL OR erase_at > sqlc.arg(erase_at));

-- name: ReleasePhone :exec
-- Takes the phone from a user who is to be erased by now, for somebody else to register with.
UPDATE users SET phone = NULL, updated_at = ? WHERE phone = sqlc.arg(phone) AND erase_at <= sqlc.arg(now);

-- name: ReleaseDuePhones :exec
UPDATE users SET phone = NULL, updated_at = ? WHERE erase_at <= sqlc.arg(now) AND phone IS NOT NULL;

-- name: ListErasable :many
SELECT id FROM users WHERE erase_at <= sqlc.arg(now) AND phone IS NULL ORDER BY erase_at LIMIT ?;

-- name: EraseUser :execrows
DELETE FROM users WHERE id = sqlc.arg(id) AND erase_at <= sqlc.arg(now) AND phone IS NULL;

-- name: TouchUser :exec
UPDATE users SET updated_at = ? WHERE id = ?;
