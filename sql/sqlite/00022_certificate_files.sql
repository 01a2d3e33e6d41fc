-- +goose Up
CREATE TABLE certificate_files (
    path        TEXT     NOT NULL PRIMARY KEY,
    sealed      BLOB     NOT NULL,
    modified_at DATETIME NOT NULL
);
