-- +goose Up
CREATE TABLE images (
    id            TEXT     NOT NULL PRIMARY KEY,
    owner_id      TEXT     NOT NULL,
    name          TEXT     NOT NULL UNIQUE,
    original_name TEXT     NOT NULL,
    bytes         BIGINT   NOT NULL,
    width         INTEGER  NOT NULL,
    height        INTEGER  NOT NULL,
    content_type  TEXT     NOT NULL,
    sha256        BLOB     NOT NULL,
    created_at    DATETIME NOT NULL
);
