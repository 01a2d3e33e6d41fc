-- name: InsertImage :exec
INSERT INTO images (
    id, owner_id, name, original_name, bytes, width, height, content_type, sha256, created_at,
    title, visibility, verdict, taken_at, camera, notify_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: GetImageByName :one
SELECT sqlc.embed(images), COALESCE(blobs.file, images.name) AS file, COALESCE(blobs.state, 'new') AS state,
    COALESCE(blobs.orientation, 0) AS orientation, COALESCE(blobs.alpha, TRUE) AS alpha,
    COALESCE(blobs.blur_hash, '') AS blur_hash, COALESCE(blobs.color, '') AS color
FROM images
LEFT JOIN blobs ON blobs.hash = images.sha256
WHERE images.name = ?;

-- name: GetImage :one
SELECT sqlc.embed(images), COALESCE(blobs.file, images.name) AS file, COALESCE(blobs.state, 'new') AS state,
    COALESCE(blobs.orientation, 0) AS orientation, COALESCE(blobs.alpha, TRUE) AS alpha,
    COALESCE(blobs.blur_hash, '') AS blur_hash, COALESCE(blobs.color, '') AS color
FROM images
LEFT JOIN blobs ON blobs.hash = images.sha256
WHERE images.id = ?;

-- name: ListImagesOfOwner :many
SELECT sqlc.embed(images), COALESCE(blobs.file, images.name) AS file, COALESCE(blobs.state, 'new') AS state,
    COALESCE(blobs.orientation, 0) AS orientation, COALESCE(blobs.alpha, TRUE) AS alpha,
    COALESCE(blobs.blur_hash, '') AS blur_hash, COALESCE(blobs.color, '') AS color
FROM images
LEFT JOIN blobs ON blobs.hash = images.sha256
WHERE images.owner_id = ? AND images.id < sqlc.arg(before)
    AND (sqlc.arg(any_type) = TRUE OR images.content_type = sqlc.arg(wanted_type))
    AND images.created_at >= sqlc.arg(earliest) AND images.created_at < sqlc.arg(upto)
ORDER BY images.id DESC
LIMIT ?;

-- name: UpdateImage :execrows
UPDATE images
SET title = CASE WHEN sqlc.arg(set_title) = TRUE THEN sqlc.arg(new_title) ELSE title END,
    visibility = CASE WHEN sqlc.arg(set_visibility) = TRUE THEN sqlc.arg(new_visibility) ELSE visibility END
WHERE id = ? AND owner_id = ?;

-- name: DeleteImages :execrows
DELETE FROM images WHERE id IN (sqlc.slice(ids)) AND sha256 IN (sqlc.slice(hashes));

-- name: SumImagesOfOwner :one
SELECT COUNT(*) AS images, CAST(COALESCE(SUM(bytes), 0) AS SIGNED) AS bytes
FROM images
WHERE owner_id = ?;

-- name: ListImagesWithoutBlob :many
SELECT images.id, images.owner_id, images.name, images.original_name, images.bytes, images.width, images.height,
    images.content_type, images.sha256, images.created_at, images.title, images.visibility, images.verdict,
    images.reason, images.judged_at, images.taken_at, images.camera, images.notices, images.notify_at
FROM images
LEFT JOIN blobs ON blobs.hash = images.sha256
WHERE blobs.hash IS NULL AND images.id > sqlc.arg(after)
ORDER BY images.id
LIMIT ?;

-- name: ListImageNames :many
SELECT name FROM images WHERE sha256 = ?;

-- name: LockImageByName :execrows
UPDATE images SET name = name WHERE name = ?;

-- name: SetImagesBlob :execrows
UPDATE images
SET sha256 = sqlc.arg(new_sha256), bytes = ?, width = ?, height = ?, content_type = ?
WHERE sha256 = sqlc.arg(old_sha256);

-- name: SetImageVerdict :execrows
UPDATE images
SET verdict = ?, reason = ?, judged_at = sqlc.arg(judged_at), notify_at = NULL
WHERE id = ? AND (judged_at IS NULL OR judged_at <= sqlc.arg(judged_at));

-- name: ListImagesToNotify :many
SELECT id, notices, notify_at
FROM images
WHERE notify_at <= sqlc.arg(now)
ORDER BY notify_at
LIMIT ?;

-- name: ClaimImageNotice :execrows
UPDATE images
SET notices = notices + 1, notify_at = sqlc.arg(next_at)
WHERE id = ? AND notify_at = sqlc.arg(notify_at);
