-- +goose Up
CREATE TABLE tickets (
    hash       BLOB     NOT NULL PRIMARY KEY,
    session_id TEXT     NOT NULL,
    expires_at DATETIME NOT NULL
);
CREATE INDEX tickets_expires_at ON tickets (expires_at);
