-- +goose Up
CREATE TABLE verification_codes (
    phone      TEXT     NOT NULL,
    purpose    TEXT     NOT NULL,
    hash       BLOB     NOT NULL,
    tries      INTEGER  NOT NULL,
    sent_at    DATETIME NOT NULL,
    expires_at DATETIME NOT NULL,
    PRIMARY KEY (phone, purpose)
);

CREATE INDEX verification_codes_expires_at ON verification_codes (expires_at);
