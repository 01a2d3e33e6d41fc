-- +goose Up
CREATE TABLE login_failures (
    name       TEXT     NOT NULL PRIMARY KEY,
    failures   INTEGER  NOT NULL,
    retry_at   DATETIME NOT NULL,
    expires_at DATETIME NOT NULL
);

CREATE INDEX login_failures_expires_at ON login_failures (expires_at);
