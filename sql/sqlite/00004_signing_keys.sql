-- +goose Up
CREATE TABLE signing_keys (
    id         TEXT     NOT NULL PRIMARY KEY,
    sealed     BLOB     NOT NULL,
    created_at DATETIME NOT NULL
);
