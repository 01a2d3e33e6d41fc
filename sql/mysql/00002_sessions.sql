-- +goose Up
CREATE TABLE IF NOT EXISTS sessions (
    id         CHAR(36)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id    CHAR(36)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    created_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (id),
    KEY sessions_expires_at (expires_at)
);
