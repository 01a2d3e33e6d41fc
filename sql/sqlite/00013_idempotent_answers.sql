-- +goose Up
CREATE TABLE idempotent_answers (
    hash        BLOB     NOT NULL PRIMARY KEY,
    fingerprint BLOB     NOT NULL,
    answer      BLOB     NOT NULL,
    expires_at  DATETIME NOT NULL
);

CREATE INDEX idempotent_answers_expires_at ON idempotent_answers (expires_at);
