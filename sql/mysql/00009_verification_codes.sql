-- +goose Up
CREATE TABLE IF NOT EXISTS verification_codes (
    phone      VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    purpose    VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    hash       BINARY(32)  NOT NULL,
    tries      INT         NOT NULL,
    sent_at    DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    PRIMARY KEY (phone, purpose),
    KEY verification_codes_expires_at (expires_at)
);
