-- +goose Up
CREATE TABLE IF NOT EXISTS images (
    id            CHAR(36)     CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    owner_id      CHAR(36)     CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    name          VARCHAR(64)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    original_name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    bytes         BIGINT       NOT NULL,
    width         INT          NOT NULL,
    height        INT          NOT NULL,
    content_type  VARCHAR(32)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    sha256        BINARY(32)   NOT NULL,
    created_at    DATETIME(6)  NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY images_name (name)
);
