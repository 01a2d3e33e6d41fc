-- +goose Up
CREATE INDEX images_owner_id ON images (owner_id, id);
