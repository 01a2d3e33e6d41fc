-- name: GetCertificateFile :one
SELECT sealed, modified_at FROM certificate_files WHERE path = ?;

-- name: ListCertificateFiles :many
SELECT path FROM certificate_files
WHERE path >= sqlc.arg(first) AND path < sqlc.arg(after)
ORDER BY path;

-- name: UpdateCertificateFile :execrows
UPDATE certificate_files SET sealed = ?, modified_at = ? WHERE path = ?;

-- name: InsertCertificateFile :exec
INSERT INTO certificate_files (path, sealed, modified_at) VALUES (?, ?, ?);

-- name: DeleteCertificateFiles :exec
DELETE FROM certificate_files
WHERE path = sqlc.arg(path) OR (path >= sqlc.arg(first) AND path < sqlc.arg(after));
