-- +goose Up
CREATE TABLE blobs (
    hash         BLOB     NOT NULL PRIMARY KEY,
    file         TEXT     NOT NULL UNIQUE,
    bytes        BIGINT   NOT NULL,
    width        INTEGER  NOT NULL,
    height       INTEGER  NOT NULL,
    content_type TEXT     NOT NULL,
    orientation  INTEGER  NOT NULL,
    alpha        BOOLEAN  NOT NULL,
    state        TEXT     NOT NULL,
    blur_hash    TEXT     NOT NULL DEFAULT '',
    color        TEXT     NOT NULL DEFAULT '',
    checks       INTEGER  NOT NULL DEFAULT 0,
    check_at     DATETIME NULL,
    unowned_at   DATETIME NULL,
    created_at   DATETIME NOT NULL
);

CREATE INDEX blobs_check_at ON blobs (check_at) WHERE check_at IS NOT NULL;
CREATE INDEX blobs_unowned_at ON blobs (unowned_at) WHERE unowned_at IS NOT NULL;
