-- +goose Up
CREATE TABLE IF NOT EXISTS image_owners (
    owner_id    CHAR(36)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    uploaded_at DATETIME(6) NOT NULL,
    PRIMARY KEY (owner_id)
);
