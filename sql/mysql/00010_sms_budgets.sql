-- +goose Up
CREATE TABLE IF NOT EXISTS sms_budgets (
    name       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    starts_at  DATETIME(6) NOT NULL,
    sent       INT         NOT NULL,
    verified   INT         NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (name, starts_at),
    KEY sms_budgets_expires_at (expires_at)
);
