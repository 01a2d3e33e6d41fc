-- +goose Up
CREATE TABLE upload_sessions (
    id            TEXT     NOT NULL PRIMARY KEY,
    owner_id      TEXT     NOT NULL,
    kind          TEXT     NOT NULL,
    bytes         BIGINT   NOT NULL,
    received      BIGINT   NOT NULL,
    file          TEXT     NOT NULL DEFAULT '',
    original_name TEXT     NOT NULL,
    title         TEXT     NOT NULL,
    visibility    TEXT     NOT NULL,
    image_id      TEXT     NULL,
    expires_at    DATETIME NOT NULL,
    created_at    DATETIME NOT NULL
);

CREATE INDEX upload_sessions_owner_id ON upload_sessions (owner_id, id);
CREATE INDEX upload_sessions_expires_at ON upload_sessions (expires_at);
