-- +goose Up
CREATE TABLE IF NOT EXISTS upload_sessions (
    id            CHAR(36)     CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    owner_id      CHAR(36)     CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    kind          VARCHAR(8)   CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    bytes         BIGINT       NOT NULL,
    received      BIGINT       NOT NULL,
    file          VARCHAR(64)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL DEFAULT '',
    original_name VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    title         VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    visibility    VARCHAR(8)   CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    image_id      CHAR(36)     CHARACTER SET ascii   COLLATE ascii_bin   NULL,
    expires_at    DATETIME(6)  NOT NULL,
    created_at    DATETIME(6)  NOT NULL,
    PRIMARY KEY (id),
    KEY upload_sessions_owner_id (owner_id, id),
    KEY upload_sessions_expires_at (expires_at)
);
