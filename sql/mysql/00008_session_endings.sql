-- +goose Up
CREATE TABLE IF NOT EXISTS session_endings (
    session_id CHAR(36)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    ended_at   DATETIME(6) NOT NULL,
    PRIMARY KEY (session_id),
    KEY session_endings_ended_at (ended_at)
);
