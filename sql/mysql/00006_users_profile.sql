-- +goose Up
ALTER TABLE users
    MODIFY phone     VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD avatar_id    CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD avatar_name  VARCHAR(64)  CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD birthday     CHAR(10)     CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD gender       VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NULL,
    ADD bio          VARCHAR(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ADD metadata     TEXT         CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ADD last_seen_at DATETIME(6)  NULL,
    ADD disabled_at  DATETIME(6)  NULL,
    ADD erase_at     DATETIME(6)  NULL,
    ADD KEY users_erase_at (erase_at);
