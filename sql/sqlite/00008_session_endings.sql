-- +goose Up
CREATE TABLE session_endings (
    session_id TEXT     NOT NULL PRIMARY KEY,
    ended_at   DATETIME NOT NULL
);

CREATE INDEX session_endings_ended_at ON session_endings (ended_at);
