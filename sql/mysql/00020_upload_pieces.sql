-- +goose Up
CREATE TABLE IF NOT EXISTS upload_pieces (
    session_id CHAR(36)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    position   BIGINT      NOT NULL,
    bytes      BIGINT      NOT NULL,
    file       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (session_id, position),
    UNIQUE KEY upload_pieces_file (file)
);
