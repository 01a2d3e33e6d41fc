-- +goose Up
CREATE TABLE IF NOT EXISTS certificate_files (
    path        VARCHAR(700) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sealed      MEDIUMBLOB   NOT NULL,
    modified_at DATETIME(6)  NOT NULL,
    PRIMARY KEY (path)
);
