-- +goose Up
CREATE TABLE upload_pieces (
    session_id TEXT   NOT NULL,
    position   BIGINT NOT NULL,
    bytes      BIGINT NOT NULL,
    file       TEXT   NOT NULL UNIQUE,
    PRIMARY KEY (session_id, position)
);
