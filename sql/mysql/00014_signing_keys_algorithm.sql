-- +goose Up
ALTER TABLE signing_keys ADD algorithm VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'EdDSA';
