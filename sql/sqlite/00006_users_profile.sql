-- +goose Up
-- SQLite cannot make a column nullable, so the table is made anew.
CREATE TABLE users_with_profile (
    id            TEXT     NOT NULL PRIMARY KEY,
    phone         TEXT     NULL UNIQUE,
    password_hash TEXT     NOT NULL,
    nickname      TEXT     NOT NULL,
    home_visits   BIGINT   NOT NULL,
    last_login_at DATETIME NULL,
    created_at    DATETIME NOT NULL,
    updated_at    DATETIME NOT NULL,
    avatar_id     TEXT     NULL,
    avatar_name   TEXT     NULL,
    birthday      TEXT     NULL,
    gender        TEXT     NULL,
    bio           TEXT     NULL,
    metadata      TEXT     NULL,
    last_seen_at  DATETIME NULL,
    disabled_at   DATETIME NULL,
    erase_at      DATETIME NULL
);

INSERT INTO users_with_profile (id, phone, password_hash, nickname, home_visits, last_login_at, created_at, updated_at)
SELECT id, phone, password_hash, nickname, home_visits, last_login_at, created_at, updated_at FROM users;

DROP TABLE users;

ALTER TABLE users_with_profile RENAME TO users;

CREATE INDEX users_erase_at ON users (erase_at);
