-- +goose Up
CREATE TABLE IF NOT EXISTS blobs (
    hash         BINARY(32)   NOT NULL,
    file         VARCHAR(64)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    bytes        BIGINT       NOT NULL,
    width        INT          NOT NULL,
    height       INT          NOT NULL,
    content_type VARCHAR(32)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    orientation  INT          NOT NULL,
    alpha        BOOLEAN      NOT NULL,
    state        VARCHAR(8)   CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    blur_hash    VARCHAR(64)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL DEFAULT '',
    color        VARCHAR(7)   CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL DEFAULT '',
    checks       INT          NOT NULL DEFAULT 0,
    check_at     DATETIME(6)  NULL,
    unowned_at   DATETIME(6)  NULL,
    created_at   DATETIME(6)  NOT NULL,
    PRIMARY KEY (hash),
    UNIQUE KEY blobs_file (file),
    KEY blobs_check_at (check_at),
    KEY blobs_unowned_at (unowned_at)
);
