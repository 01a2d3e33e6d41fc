-- +goose Up
CREATE TABLE sms_budgets (
    name       TEXT     NOT NULL,
    starts_at  DATETIME NOT NULL,
    sent       INTEGER  NOT NULL,
    verified   INTEGER  NOT NULL,
    expires_at DATETIME NOT NULL,
    PRIMARY KEY (name, starts_at)
);

CREATE INDEX sms_budgets_expires_at ON sms_budgets (expires_at);
