// Package upload owns uploads that take more than one request, and their sessions: pictures that come
// in pieces over a bad network, as the tus protocol has it, and pictures that clients upload to S3
// itself, past the server. How they end is image's: once all bytes are there, they are cleaned, checked
// and stored like those of any other upload.
//
// A piece is a file of the storage and a row, which appear together or not at all, as pictures do. So
// pieces outlive a process, and come to whichever node. How far a session is stands in its row only:
// a piece is taken by a single UPDATE that asks for the offset at which it begins, so of two that come
// at once, one is refused. The last piece is never stored: the row of the picture and the end of the
// session are committed together.
//
// What a killed process leaves behind is decided by the sweep of the storage (see Service.Stored), or
// goes when the session expires.
package upload

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/image"
	"gatehouse/internal/storage"
)

// Session is an upload that has begun.
type Session struct {
	ID        string // UUIDv7
	Bytes     int64  // that the picture has
	Received  int64  // of them
	ImageID   string // empty until the picture is stored
	ExpiresAt time.Time
}

// Announcement describes a picture that is going to be uploaded.
type Announcement struct {
	Bytes      int64  // at least 1
	Name       string // the client's name for the file, in UTF-8
	Title      string
	Visibility image.Visibility // empty: that of other uploads
}

// Options of a Service. All but MaxSessions are required.
type Options struct {
	Database *database.Database
	Store    *storage.Store
	Images   *image.Service
	Logger   *slog.Logger
	Now      func() time.Time

	MaxBytes    int64         // most bytes of a picture
	Lifetime    time.Duration // of a session that goes on no more; seven of them of any
	MaxSessions int           // most unfinished ones of a user; 0: 100
}

// Service takes pictures in pieces, and from S3. It is safe for concurrent use.
type Service struct {
	Options
	turns turns
}

const defaultMaxSessions = 100

// New returns a service.
func New(o Options) *Service {
	o.MaxSessions = cmp.Or(o.MaxSessions, defaultMaxSessions)
	return &Service{Options: o, turns: turns{latest: map[string]*turn{}}}
}

// The kinds of sessions.
const (
	inPieces = "pieces"
	direct   = "direct"
)

// Create begins an upload in pieces. The refusals are UploadTooLarge, ImageCountExceeded,
// ImageBytesExceeded, TooManyUploadSessions, ServerBusy and StorageFull.
func (s *Service) Create(ctx context.Context, ownerID string, a Announcement) (Session, error) {
	row, err := s.open(ctx, db.UploadSession{OwnerID: ownerID, Kind: inPieces}, a)
	return sessionFromRow(row), err
}

// Get returns an upload in pieces. The refusals are UploadSessionNotFound, also if it is somebody
// else's or has expired, and ServerBusy.
func (s *Service) Get(ctx context.Context, ownerID, id string) (Session, error) {
	row, err := s.find(ctx, ownerID, id, inPieces)
	return sessionFromRow(row), err
}

// open stores a session for who may have one more.
func (s *Service) open(ctx context.Context, row db.UploadSession, a Announcement) (db.UploadSession, error) {
	if a.Bytes > s.MaxBytes {
		return row, apperr.New(apperr.UploadTooLarge)
	}
	row.ID = uuid.Must(uuid.NewV7()).String()
	row.Bytes, row.OriginalName, row.Title, row.Visibility = a.Bytes, end(a.Name, maxName), image.DisplayTitle(a.Title), string(a.Visibility)
	row.CreatedAt, row.ExpiresAt = s.timestamp(), s.expiry()
	return row, s.insert(ctx, row)
}

// maxName is the length of the column, in characters.
const maxName = 255

// end returns the last characters of a text: of a path, the name of the file.
func end(text string, most int) string {
	characters := []rune(text)
	return string(characters[max(0, len(characters)-most):])
}

func (s *Service) insert(ctx context.Context, row db.UploadSession) error {
	insert := func() error {
		return s.Database.InTx(ctx, func(q *db.Queries) error { return s.insertRow(ctx, q, row) })
	}
	err := insert()
	if errors.Is(err, database.ErrCommitUnknown) {
		err = insert()
	}
	if err != nil && !database.IsDuplicate(err) { // our own row, whose answer was lost
		return fmt.Errorf("insert upload session %s: %w", row.ID, err)
	}
	return nil
}

// insertRow inserts a session if there is room for all unfinished ones of its owner, as if their
// pictures were stored already. Without a quota nobody takes turns: then two sessions at once may both
// take the last place, since their number bounds what an owner leaves behind and need not be exact.
func (s *Service) insertRow(ctx context.Context, q *db.Queries, row db.UploadSession) error {
	if err := s.Images.TakeTurn(ctx, q, row.OwnerID); err != nil {
		return err
	}
	err := q.InsertUploadSession(ctx, db.InsertUploadSessionParams{
		ID: row.ID, OwnerID: row.OwnerID, Kind: row.Kind, Bytes: row.Bytes, File: row.File, OriginalName: row.OriginalName,
		Title: row.Title, Visibility: row.Visibility, ExpiresAt: row.ExpiresAt, CreatedAt: row.CreatedAt,
	})
	if err != nil {
		return err
	}
	unfinished, err := q.SumUploadSessions(ctx, db.SumUploadSessionsParams{OwnerID: row.OwnerID, Now: row.CreatedAt})
	if err != nil {
		return fmt.Errorf("sum up the uploads of user %s: %w", row.OwnerID, err)
	}
	if unfinished.Sessions > int64(s.MaxSessions) {
		return apperr.New(apperr.TooManyUploadSessions)
	}
	return s.Images.CheckQuota(ctx, q, row.OwnerID, image.Quota{Images: unfinished.Sessions, Bytes: unfinished.Bytes})
}

// find returns the row of a session. The refusals are those of Get.
func (s *Service) find(ctx context.Context, ownerID, id, kind string) (db.UploadSession, error) {
	row, err := s.Database.Queries().GetUploadSession(ctx, db.GetUploadSessionParams{ID: id, OwnerID: ownerID, Kind: kind})
	if errors.Is(err, sql.ErrNoRows) || err == nil && !row.ExpiresAt.After(s.Now()) {
		return db.UploadSession{}, apperr.New(apperr.UploadSessionNotFound)
	}
	if err != nil {
		return db.UploadSession{}, fmt.Errorf("get upload session %s: %w", id, database.Refusal(err))
	}
	return row, nil
}

func sessionFromRow(row db.UploadSession) Session {
	session := Session{ID: row.ID, Bytes: row.Bytes, Received: row.Received, ExpiresAt: row.ExpiresAt}
	if row.ImageID != nil {
		session.ImageID = *row.ImageID
	}
	return session
}

// timestamp is the current time as both databases store it.
func (s *Service) timestamp() time.Time {
	return database.Timestamp(s.Now())
}

// expiry is when a session ends that begins now, or is complete.
func (s *Service) expiry() time.Time {
	return database.Timestamp(s.Now().Add(s.Lifetime))
}

// longestLife is how many lifetimes a session has if it goes on again and again.
const longestLife = 7

// extended is when a session ends that goes on now.
func (s *Service) extended(row db.UploadSession) time.Time {
	last := row.CreatedAt.Add(longestLife * s.Lifetime)
	if next := s.expiry(); next.Before(last) {
		return next
	}
	return last
}
