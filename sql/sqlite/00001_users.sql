-- +goose Up
CREATE TABLE users (
    id            TEXT     NOT NULL PRIMARY KEY,
    phone         TEXT     NOT NULL UNIQUE,
    password_hash TEXT     NOT NULL,
    nickname      TEXT     NOT NULL,
    home_visits   BIGINT   NOT NULL,
    last_login_at DATETIME NULL,
    created_at    DATETIME NOT NULL,
    updated_at    DATETIME NOT NULL
);
