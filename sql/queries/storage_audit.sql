-- name: ListStoredBlobs :many
SELECT hash, file, bytes
FROM blobs
WHERE file > sqlc.arg(after) AND created_at >= sqlc.arg(since)
ORDER BY file
LIMIT ?;

-- name: ListUnadoptedImages :many
SELECT images.id, images.name, images.bytes, images.sha256
FROM images
LEFT JOIN blobs ON blobs.hash = images.sha256
WHERE blobs.hash IS NULL AND images.id > sqlc.arg(after) AND images.created_at >= sqlc.arg(since)
ORDER BY images.id
LIMIT ?;

-- name: ListStoredPieces :many
SELECT file, bytes
FROM upload_pieces
WHERE file > sqlc.arg(after)
ORDER BY file
LIMIT ?;

-- name: CountBlobs :one
SELECT COUNT(*) FROM blobs;

-- name: CountUnadoptedImages :one
SELECT COUNT(*)
FROM images
LEFT JOIN blobs ON blobs.hash = images.sha256
WHERE blobs.hash IS NULL;

-- name: CountUploadPieces :one
SELECT COUNT(*) FROM upload_pieces;

-- name: FindBlobFiles :many
SELECT file FROM blobs WHERE file IN (sqlc.slice(files));

-- name: FindUnadoptedNames :many
SELECT images.name
FROM images
LEFT JOIN blobs ON blobs.hash = images.sha256
WHERE blobs.hash IS NULL AND images.name IN (sqlc.slice(names));

-- name: FindPieceFiles :many
SELECT file FROM upload_pieces WHERE file IN (sqlc.slice(files));

-- name: ListImagesOfFile :many
SELECT images.id, images.owner_id, images.name
FROM images
LEFT JOIN blobs ON blobs.hash = images.sha256
WHERE images.sha256 = ? AND COALESCE(blobs.file, images.name) = sqlc.arg(stored_file)
ORDER BY images.id
LIMIT ?;

-- name: GetSessionOfPiece :one
SELECT upload_sessions.id, upload_sessions.owner_id
FROM upload_pieces
INNER JOIN upload_sessions ON upload_sessions.id = upload_pieces.session_id
WHERE upload_pieces.file = ?;

-- name: ListUnsuspectedBlobs :many
SELECT hash, file
FROM blobs
WHERE file > sqlc.arg(after) AND unowned_at IS NULL
    AND NOT EXISTS (SELECT 1 FROM images WHERE images.sha256 = blobs.hash)
ORDER BY file
LIMIT ?;
