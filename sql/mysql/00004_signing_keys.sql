-- +goose Up
CREATE TABLE IF NOT EXISTS signing_keys (
    id         CHAR(36)       CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sealed     VARBINARY(255) NOT NULL,
    created_at DATETIME(6)    NOT NULL,
    PRIMARY KEY (id)
);
