package upload

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/database"
	"gatehouse/internal/db"
	"gatehouse/internal/image"
	"gatehouse/internal/storage"
)

func TestAppendRefuses(t *testing.T) {
	data := photo(t)
	tests := []struct {
		name   string
		offset int64
		body   []byte
		want   apperr.Code
	}{
		{"too early", 99, data[99:200], apperr.OffsetMismatch},
		{"too late", 101, data[101:200], apperr.OffsetMismatch},
		{"at the start again", 0, data[:100], apperr.OffsetMismatch},
		{"beyond the end", 1 << 62, data[:1], apperr.OffsetMismatch},
		{"one byte too many", 100, append(data[100:len(data):len(data)], 0), apperr.UploadTooLarge},
		{"far too many", 100, make([]byte, 10*len(data)), apperr.UploadTooLarge},
	}
	everywhere(t, func(t *testing.T, p *place) {
		s, owner := p.process(t, image.Options{}), uuid.NewString()
		session := send(t, s, owner, begin(t, s, owner, data), data[:100])
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				_, err := s.Append(t.Context(), owner, session.ID, test.offset, nil, bytes.NewReader(test.body))
				wantCode(t, err, test.want)
				wantReceived(t, s, owner, session, 100)
				p.wantLeft(t, 1, 1, 0)
			})
		}
		wantPicture(t, s, owner, send(t, s, owner, session, data[100:]), data)
	})
}

// TestPiecesAreLimited has as many pieces as a session may have: only the rest of the picture may follow.
func TestPiecesAreLimited(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session := begin(t, s, owner, data)
		for range maxPieces {
			session = send(t, s, owner, session, data[session.Received:][:1])
		}
		_, err := s.Append(t.Context(), owner, session.ID, maxPieces, nil, bytes.NewReader(data[maxPieces:len(data)-1]))
		wantCode(t, err, apperr.InvalidInput)
		wantReceived(t, s, owner, session, maxPieces)
		p.wantLeft(t, 1, maxPieces, 0)
		session = send(t, s, owner, session, data[maxPieces:])
		wantPicture(t, s, owner, session, data)
		p.wantLeft(t, 1, 0, 1)
	})
}

func TestChecksum(t *testing.T) {
	data := photo(t)
	one, two := sha1.Sum(data[:100]), sha256.Sum256(data[:100])
	tests := []struct {
		name      string
		algorithm string
		sum       []byte
		body      []byte
		cut       bool // after the body
		want      apperr.Code
	}{
		{"right by sha1", "sha1", one[:], data[:100], false, apperr.OK},
		{"right by sha256", "sha256", two[:], data[:100], false, apperr.OK},
		{"other bytes", "sha1", one[:], data[1:101], false, apperr.ChecksumMismatch},
		{"one byte less", "sha256", two[:], data[:99], false, apperr.ChecksumMismatch},
		{"no bytes", "sha1", one[:], nil, false, apperr.ChecksumMismatch},
		{"cut off", "sha1", one[:], data[:50], true, apperr.ChecksumMismatch},
		{"cut off at its end", "sha1", one[:], data[:100], true, apperr.ChecksumMismatch},
	}
	everywhere(t, func(t *testing.T, p *place) {
		s := p.process(t, image.Options{})
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				owner := uuid.NewString()
				session := begin(t, s, owner, data)
				sum, err := NewChecksum(test.algorithm, test.sum)
				if err != nil {
					t.Fatal(err)
				}
				var body io.Reader = bytes.NewReader(test.body)
				if test.cut {
					body = failing(test.body, networkGone)
				}
				_, err = s.Append(t.Context(), owner, session.ID, 0, sum, body)
				if test.want == apperr.OK && err == nil {
					wantReceived(t, s, owner, session, 100)
					return
				}
				wantCode(t, err, test.want)
				wantReceived(t, s, owner, session, 0)
			})
		}
		p.wantLeft(t, len(tests), 2, 0)
	})
}

func TestNewChecksumRefuses(t *testing.T) {
	for algorithm, sum := range map[string][]byte{"md5": make([]byte, 16), "": make([]byte, 20), "sha1": make([]byte, 32), "sha256": nil} {
		_, err := NewChecksum(algorithm, sum)
		wantCode(t, err, apperr.InvalidInput)
	}
}

// TestCutOffPiecesAreKept loses the network at several places, and its client with it.
func TestCutOffPiecesAreKept(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session := begin(t, s, owner, data)
		for _, until := range []int{0, 1, 1, 500, len(data) - 1, len(data)} {
			ctx, goAway := context.WithCancel(t.Context())
			body := failing(data[session.Received:until], func() error { goAway(); return errNetwork })
			got, err := s.Append(ctx, owner, session.ID, session.Received, nil, body)
			if err != nil || got.Received != int64(until) {
				t.Fatalf("session %+v, %v, want %d bytes received", got, err, until)
			}
			session = got
		}
		wantPicture(t, s, owner, session, data)
		p.wantLeft(t, 1, 0, 1)
	})
}

// TestOnePieceOfManyIsTaken sends different bytes for the same place at once, to several nodes.
func TestOnePieceOfManyIsTaken(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		nodes := []*Service{p.process(t, image.Options{}), p.process(t, image.Options{})}
		owner, data := uuid.NewString(), photo(t)
		session := begin(t, nodes[0], owner, data)
		taken := race(8, func(i int) error {
			_, err := nodes[i%2].Append(t.Context(), owner, session.ID, 0, nil, bytes.NewReader(data[:100+i]))
			return err
		})
		winner := onlyWinner(t, taken)
		wantReceived(t, nodes[0], owner, session, int64(100+winner))
		p.wantLeft(t, 1, 1, 0)
	})
}

func TestOneLastPieceOfManyIsTaken(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		nodes := []*Service{p.process(t, image.Options{}), p.process(t, image.Options{})}
		owner, data := uuid.NewString(), photo(t)
		session := send(t, nodes[0], owner, begin(t, nodes[0], owner, data), data[:100])
		taken := race(8, func(i int) error {
			_, err := nodes[i%2].Append(t.Context(), owner, session.ID, 100, nil, bytes.NewReader(data[100:]))
			return err
		})
		onlyWinner(t, taken)
		wantPicture(t, nodes[0], owner, session, data)
		p.wantLeft(t, 1, 0, 1)
	})
}

// race calls do at the same time, and returns the errors.
func race(n int, do func(i int) error) []error {
	failed := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { failed[i] = do(i) })
	}
	group.Wait()
	return failed
}

// onlyWinner returns who had no error; all others must be told of another offset.
func onlyWinner(t *testing.T, failed []error) int {
	t.Helper()
	winner := -1
	for i, err := range failed {
		switch {
		case err == nil && winner < 0:
			winner = i
		case err == nil:
			t.Errorf("%d and %d were taken", winner, i)
		default:
			wantCode(t, err, apperr.OffsetMismatch)
		}
	}
	if winner < 0 {
		t.Fatal("none was taken")
	}
	return winner
}

// TestHangingPieceIsOvertaken resumes on another node while the first still waits for a piece whose
// client is gone.
func TestHangingPieceIsOvertaken(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, another, owner, data := p.process(t, image.Options{}), p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session := begin(t, s, owner, data)
		client, hanging := hangingPiece(t, s, owner, session, data[:300])
		session = send(t, another, owner, session, data[:200])
		client.CloseWithError(errNetwork)
		wantCode(t, <-hanging, apperr.OffsetMismatch)
		p.wantLeft(t, 1, 1, 0)
		wantPicture(t, s, owner, send(t, s, owner, session, data[200:]), data)
	})
}

// interruptible waits for a client until it is interrupted.
type interruptible struct{ *io.PipeReader }

func (i interruptible) Interrupt() { i.CloseWithError(errNetwork) }

// hangingPiece sends some bytes of a piece whose end does not come.
func hangingPiece(t *testing.T, s *Service, owner string, session Session, data []byte) (*io.PipeWriter, <-chan error) {
	t.Helper()
	body, client := io.Pipe()
	appended := make(chan error, 1)
	go func() {
		_, err := s.Append(t.Context(), owner, session.ID, session.Received, nil, interruptible{body})
		appended <- err
	}()
	if _, err := client.Write(data); err != nil {
		t.Fatal(err)
	}
	return client, appended
}

// TestHangingPieceIsInterrupted resumes on the same node: each piece ends the one before.
func TestHangingPieceIsInterrupted(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session := begin(t, s, owner, data)
		_, first := hangingPiece(t, s, owner, session, data[:300])
		_, err := s.Append(t.Context(), uuid.NewString(), session.ID, 0, nil, bytes.NewReader(data)) // a stranger
		wantCode(t, err, apperr.UploadSessionNotFound)
		wantReceived(t, s, owner, session, 0)
		session.Received = 300
		_, second := hangingPiece(t, s, owner, session, data[300:500])
		if err := <-first; err != nil {
			t.Error(err)
		}
		_, err = s.Append(t.Context(), owner, session.ID, 300, nil, bytes.NewReader(data[300:]))
		wantCode(t, err, apperr.OffsetMismatch) // what came of the second is kept
		if err := <-second; err != nil {
			t.Error(err)
		}
		p.wantLeft(t, 1, 2, 0)
		session.Received = 500
		wantPicture(t, s, owner, send(t, s, owner, session, data[500:]), data)
		if len(s.turns.latest) != 0 {
			t.Errorf("%d turns are left", len(s.turns.latest))
		}
	})
}

// TestCancelledMeanwhile ends the session while a piece comes in.
func TestCancelledMeanwhile(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		for _, last := range []bool{false, true} {
			s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
			session := send(t, s, owner, begin(t, s, owner, data), data[:100])
			body, client := io.Pipe()
			appended := make(chan error, 1)
			go func() {
				_, err := s.Append(t.Context(), owner, session.ID, 100, nil, body)
				appended <- err
			}()
			rest := data[100:]
			if !last {
				rest = rest[:100]
			}
			if _, err := client.Write(rest); err != nil {
				t.Fatal(err)
			}
			if err := s.Cancel(t.Context(), owner, session.ID); err != nil {
				t.Fatal(err)
			}
			client.Close()
			wantCode(t, <-appended, apperr.UploadSessionNotFound)
			p.wantLeft(t, 0, 0, 0)
		}
	})
}

// TestCancelAndPiecesAtOnce leaves either a session with its pieces, or nothing of it.
func TestCancelAndPiecesAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, data := p.process(t, image.Options{}), photo(t)
		for range 20 {
			owner := uuid.NewString()
			session := begin(t, s, owner, data)
			failed := race(4, func(i int) error {
				if i == 0 {
					return s.Cancel(t.Context(), owner, session.ID)
				}
				_, err := s.Append(t.Context(), owner, session.ID, 0, nil, bytes.NewReader(data[:i*100]))
				return err
			})
			if failed[0] != nil {
				t.Fatal(failed[0])
			}
		}
		p.wantLeft(t, 0, 0, 0)
	})
}

func TestRefusedPicturesEndTheirSessions(t *testing.T) {
	good := photo(t)
	tests := []struct {
		name string
		data []byte
		want apperr.Code
	}{
		{"no picture", []byte(strings.Repeat("<html>", 100)), apperr.NotAnImage},
		{"cut off", good[:len(good)-2], apperr.ImageDamaged},
	}
	everywhere(t, func(t *testing.T, p *place) {
		s, owner := p.process(t, image.Options{}), uuid.NewString()
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				session := send(t, s, owner, begin(t, s, owner, test.data), test.data[:100])
				_, err := s.Append(t.Context(), owner, session.ID, 100, nil, bytes.NewReader(test.data[100:]))
				wantCode(t, err, test.want)
				_, err = s.Get(t.Context(), owner, session.ID)
				wantCode(t, err, apperr.UploadSessionNotFound)
				p.wantLeft(t, 0, 0, 0)
			})
		}
	})
}

// TestFullQuotaKeepsTheSession lets the client send the last piece again once there is room.
func TestFullQuotaKeepsTheSession(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data, other := p.process(t, image.Options{Quota: image.Quota{Images: 1}}), uuid.NewString(), photo(t), photo(t)
		session := send(t, s, owner, begin(t, s, owner, data), data[:100])
		uploadWhole(t, s, owner, other)
		_, err := s.Append(t.Context(), owner, session.ID, 100, nil, bytes.NewReader(data[100:]))
		wantCode(t, err, apperr.ImageCountExceeded)
		wantReceived(t, s, owner, session, 100)
		if err := s.Images.DeleteAll(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		wantPicture(t, s, owner, send(t, s, owner, session, data[100:]), data)
	})
}

// uploadWhole stores a picture without a session.
func uploadWhole(t *testing.T, s *Service, owner string, data []byte) {
	t.Helper()
	uploads := 0
	_, err := s.Images.Upload(t.Context(), image.UploadOptions{OwnerID: owner}, func() (*image.Upload, error) {
		if uploads++; uploads > 1 {
			return nil, io.EOF
		}
		return &image.Upload{Name: "a.jpg", Content: bytes.NewReader(data)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLostPiecesEndTheirSession takes a stored piece away, or some of its bytes.
func TestLostPiecesEndTheirSession(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		for name, lose := range map[string]func(file string) error{
			"file": os.Remove,
			"end":  func(file string) error { return os.Truncate(file, 99) },
		} {
			t.Run(name, func(t *testing.T) {
				s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
				session := send(t, s, owner, begin(t, s, owner, data), data[:100])
				found, err := filepath.Glob(filepath.Join(p.dir, "*", "*"+PieceSuffix))
				if err != nil || len(found) != 1 {
					t.Fatalf("files %q, %v", found, err)
				}
				if err := lose(found[0]); err != nil {
					t.Fatal(err)
				}
				_, err = s.Append(t.Context(), owner, session.ID, 100, nil, bytes.NewReader(data[100:]))
				wantCode(t, err, apperr.UploadSessionNotFound)
				p.wantLeft(t, 0, 0, 0)
			})
		}
	})
}

func TestAppendWithoutDatabase(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session := begin(t, s, owner, data)
		body, client := io.Pipe()
		appended := make(chan error, 1)
		go func() {
			_, err := s.Append(t.Context(), owner, session.ID, 0, nil, body)
			appended <- err
		}()
		if _, err := client.Write(data[:100]); err != nil {
			t.Fatal(err)
		}
		if err := p.database.Close(); err != nil {
			t.Fatal(err)
		}
		client.Close()
		if err := <-appended; err == nil {
			t.Error("a piece was taken without a database")
		}
		p.wantLeft(t, 1, 0, 0)
	})
}

// received is a piece that has come, as Append has it.
func received(t *testing.T, s *Service, owner string, session Session, data []byte) (*storage.Batch, db.UploadSession, *piece) {
	t.Helper()
	row, err := s.find(t.Context(), owner, session.ID, inPieces)
	if err != nil {
		t.Fatal(err)
	}
	batch := s.Store.NewBatch()
	made, err := create(batch, row)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.file.Close() })
	if err := made.receive(bytes.NewReader(data), row.Bytes-row.Received, nil); err != nil {
		t.Fatal(err)
	}
	return batch, row, made
}

// TestSweepAfterKill kills the process at each step of a piece, and lets the next one go on.
func TestSweepAfterKill(t *testing.T) {
	putInPlace := func(t *testing.T, batch *storage.Batch) {
		if err := batch.Place(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	advance := func(t *testing.T, s *Service, batch *storage.Batch, row db.UploadSession, piece *piece) {
		if err := s.advance(t.Context(), batch, row, piece); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		name         string
		steps        func(t *testing.T, s *Service, batch *storage.Batch, row db.UploadSession, piece *piece)
		wantReceived int
	}{
		{"while it comes", func(*testing.T, *Service, *storage.Batch, db.UploadSession, *piece) {}, 100},
		{"placed", func(t *testing.T, _ *Service, batch *storage.Batch, _ db.UploadSession, _ *piece) {
			putInPlace(t, batch)
		}, 100},
		{"committed", func(t *testing.T, s *Service, batch *storage.Batch, row db.UploadSession, piece *piece) {
			putInPlace(t, batch)
			advance(t, s, batch, row, piece)
		}, 200},
		{"kept", func(t *testing.T, s *Service, batch *storage.Batch, row db.UploadSession, piece *piece) {
			if _, err := s.keep(t.Context(), batch, row, piece); err != nil {
				t.Fatal(err)
			}
		}, 200},
		{"marked for removal", func(t *testing.T, s *Service, batch *storage.Batch, row db.UploadSession, piece *piece) {
			if _, err := s.keep(t.Context(), batch, row, piece); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Store.Mark(piece.File); err != nil {
				t.Fatal(err)
			}
		}, 200},
	}
	everywhere(t, func(t *testing.T, p *place) {
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				killed, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
				session := send(t, killed, owner, begin(t, killed, owner, data), data[:100])
				batch, row, piece := received(t, killed, owner, session, data[100:200])
				test.steps(t, killed, batch, row, piece)
				killed.Store.Close()
				next := p.process(t, image.Options{})
				if err := next.Store.Sweep(t.Context(), next.Stored); err != nil {
					t.Fatal(err)
				}
				wantReceived(t, next, owner, session, int64(test.wantReceived))
				session.Received = int64(test.wantReceived)
				wantPicture(t, next, owner, send(t, next, owner, session, data[test.wantReceived:]), data)
				p.wantLeft(t, i+1, 0, i+1)
			})
		}
	})
}

// TestKilledBeforePiecesAreRemoved leaves the pieces of a complete upload to the end of its session.
func TestKilledBeforePiecesAreRemoved(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
		session := send(t, s, owner, begin(t, s, owner, data), data[:100])
		_, row, _ := received(t, s, owner, session, data[100:])
		if _, err := s.storePicture(t.Context(), row, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		wantPicture(t, s, owner, session, data)
		s.Store.Close()
		next := p.process(t, image.Options{})
		if err := next.Store.Sweep(t.Context(), next.Stored); err != nil {
			t.Fatal(err)
		}
		p.wantLeft(t, 1, 1, 1)
		p.clock.advance(2 * day)
		if deleted, err := next.DeleteExpired(t.Context()); deleted != 1 || err != nil {
			t.Errorf("deleted %d, %v, want 1", deleted, err)
		}
		p.wantLeft(t, 0, 0, 1)
	})
}

// TestSettle loses the answer to the commit of a piece.
func TestSettle(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		for _, committed := range []bool{true, false} {
			s, owner, data := p.process(t, image.Options{}), uuid.NewString(), photo(t)
			batch, row, piece := received(t, s, owner, begin(t, s, owner, data), data[:100])
			if err := batch.Place(t.Context()); err != nil {
				t.Fatal(err)
			}
			if committed {
				if err := s.advance(t.Context(), batch, row, piece); err != nil {
					t.Fatal(err)
				}
			}
			gone, cancel := context.WithCancel(t.Context())
			cancel()
			err := s.settle(gone, batch, piece.File, database.ErrCommitUnknown)
			if committed != (err == nil) || err != nil && !errors.Is(err, database.ErrCommitUnknown) {
				t.Errorf("committed: %t, settled: %v", committed, err)
			}
		}
	})
}

// TestStoredWaitsForCommitUnderWay asks while the database still commits for a killed process.
func TestStoredWaitsForCommitUnderWay(t *testing.T) {
	everywhere(t, func(t *testing.T, p *place) {
		s := p.process(t, image.Options{})
		row := db.InsertUploadPieceParams{SessionID: uuid.NewString(), File: newName() + PieceSuffix}
		inserted, commit := make(chan struct{}), make(chan struct{})
		committed := make(chan error, 1)
		go func() {
			committed <- p.database.InTx(t.Context(), func(q *db.Queries) error {
				err := q.InsertUploadPiece(t.Context(), row)
				close(inserted)
				<-commit
				return err
			})
		}()
		<-inserted
		time.AfterFunc(50*time.Millisecond, func() { close(commit) })
		if stored, err := s.Stored(t.Context(), row.File); !stored || err != nil {
			t.Errorf("stored: %t, %v, want true", stored, err)
		}
		if err := <-committed; err != nil {
			t.Fatal(err)
		}
	})
}
