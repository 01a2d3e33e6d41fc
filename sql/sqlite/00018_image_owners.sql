-- +goose Up
CREATE TABLE image_owners (
    owner_id    TEXT     NOT NULL PRIMARY KEY,
    uploaded_at DATETIME NOT NULL
);
