-- +goose Up
CREATE TABLE IF NOT EXISTS audit_events (
    id         CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    user_id    CHAR(36)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    actor      VARCHAR(16)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    action     VARCHAR(32)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    address    VARCHAR(45)  CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    device     VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    created_at DATETIME(6)  NOT NULL,
    PRIMARY KEY (id),
    KEY audit_events_user_id (user_id, id),
    KEY audit_events_created_at (created_at)
);
