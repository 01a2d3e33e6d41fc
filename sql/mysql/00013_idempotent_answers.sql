-- +goose Up
CREATE TABLE IF NOT EXISTS idempotent_answers (
    hash        BINARY(32)  NOT NULL,
    fingerprint BINARY(32)  NOT NULL,
    answer      MEDIUMBLOB  NOT NULL,
    expires_at  DATETIME(6) NOT NULL,
    PRIMARY KEY (hash),
    KEY idempotent_answers_expires_at (expires_at)
);
