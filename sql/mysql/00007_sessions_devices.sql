-- +goose Up
ALTER TABLE sessions
    ADD generation   INT          NOT NULL DEFAULT 0,
    ADD token_hash   BINARY(32)   NULL,
    ADD rotated_at   DATETIME(6)  NULL,
    ADD device       VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT '',
    ADD address      VARCHAR(45)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    ADD last_seen_at DATETIME(6)  NULL,
    ADD KEY sessions_user_id (user_id);
