-- +goose Up
CREATE TABLE IF NOT EXISTS users (
    id            CHAR(36)     CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    phone         VARCHAR(16)  CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    password_hash VARCHAR(255) CHARACTER SET ascii   COLLATE ascii_bin   NOT NULL,
    nickname      VARCHAR(64)  CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    home_visits   BIGINT       NOT NULL,
    last_login_at DATETIME(6)  NULL,
    created_at    DATETIME(6)  NOT NULL,
    updated_at    DATETIME(6)  NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY users_phone (phone)
);
