-- +goose Up
CREATE TABLE audit_events (
    id         TEXT     NOT NULL PRIMARY KEY,
    user_id    TEXT     NOT NULL,
    actor      TEXT     NOT NULL,
    action     TEXT     NOT NULL,
    address    TEXT     NOT NULL,
    device     TEXT     NOT NULL,
    created_at DATETIME NOT NULL
);

CREATE INDEX audit_events_user_id ON audit_events (user_id, id);
CREATE INDEX audit_events_created_at ON audit_events (created_at);
