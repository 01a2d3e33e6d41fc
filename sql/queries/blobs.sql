-- name: InsertBlob :exec
INSERT INTO blobs (hash, file, bytes, width, height, content_type, orientation, alpha, state, blur_hash, color, check_at, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: GetBlob :one
SELECT hash, file, bytes, width, height, content_type, orientation, alpha, state, blur_hash, color, checks, check_at, unowned_at, created_at
FROM blobs
WHERE hash = ?;

-- name: ClaimBlob :execrows
UPDATE blobs SET unowned_at = NULL WHERE hash = ?;

-- name: SuspectBlobs :exec
UPDATE blobs SET unowned_at = ? WHERE hash IN (sqlc.slice(hashes));

-- name: ListSuspectBlobs :many
SELECT hash, file, unowned_at
FROM blobs
WHERE unowned_at < sqlc.arg(before)
ORDER BY unowned_at
LIMIT ?;

-- name: DeleteUnownedBlob :execrows
DELETE FROM blobs
WHERE hash = ? AND unowned_at < sqlc.arg(before)
    AND NOT EXISTS (SELECT 1 FROM images WHERE images.sha256 = blobs.hash);

-- name: ClearSuspectBlob :exec
UPDATE blobs SET unowned_at = NULL WHERE hash = ? AND unowned_at < sqlc.arg(before);

-- name: ListBlobsToCheck :many
SELECT hash, file, width, height, content_type, orientation, checks, check_at
FROM blobs
WHERE check_at <= sqlc.arg(now)
ORDER BY check_at
LIMIT ?;

-- name: ClaimBlobCheck :execrows
UPDATE blobs
SET checks = checks + 1, check_at = sqlc.arg(next_at)
WHERE hash = ? AND state = 'new' AND checks = sqlc.arg(checks);

-- name: SetBlobChecked :exec
UPDATE blobs
SET state = ?, blur_hash = ?, color = ?, check_at = NULL
WHERE hash = ? AND state = 'new';

-- name: PutBlobCheckOff :exec
UPDATE blobs
SET checks = checks - 1, check_at = sqlc.arg(next_at)
WHERE hash = ? AND state = 'new';
