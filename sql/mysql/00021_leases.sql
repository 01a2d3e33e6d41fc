-- +goose Up
CREATE TABLE IF NOT EXISTS leases (
    name       VARCHAR(64)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    holder     VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    expires_at DATETIME(6)  NOT NULL,
    PRIMARY KEY (name)
);
