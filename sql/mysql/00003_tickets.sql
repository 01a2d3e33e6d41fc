-- +goose Up
CREATE TABLE IF NOT EXISTS tickets (
    hash       BINARY(32)  NOT NULL,
    session_id CHAR(36)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (hash),
    KEY tickets_expires_at (expires_at)
);
