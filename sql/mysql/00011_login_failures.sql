-- +goose Up
CREATE TABLE IF NOT EXISTS login_failures (
    name       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    failures   INT         NOT NULL,
    retry_at   DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (name),
    KEY login_failures_expires_at (expires_at)
);
