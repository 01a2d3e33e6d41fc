-- +goose Up
ALTER TABLE images
    ADD title      VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    ADD visibility VARCHAR(8)   CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL DEFAULT 'public',
    ADD verdict    VARCHAR(8)   CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL DEFAULT '',
    ADD reason     VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    ADD judged_at  DATETIME(6)  NULL,
    ADD taken_at   DATETIME(6)  NULL,
    ADD camera     VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    ADD notices    INT          NOT NULL DEFAULT 0,
    ADD notify_at  DATETIME(6)  NULL,
    ADD KEY images_sha256 (sha256),
    ADD KEY images_notify_at (notify_at);
