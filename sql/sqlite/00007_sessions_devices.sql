-- +goose Up
ALTER TABLE sessions ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN token_hash BLOB NULL;
ALTER TABLE sessions ADD COLUMN rotated_at DATETIME NULL;
ALTER TABLE sessions ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN last_seen_at DATETIME NULL;

CREATE INDEX sessions_user_id ON sessions (user_id);
