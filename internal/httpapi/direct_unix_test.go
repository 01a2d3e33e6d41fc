//go:build unix

package httpapi

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"gatehouse/internal/apperr"
)

// TestDatabaseIsFullForDirectUploads leaves SQLite's log no room to grow.
func TestDatabaseIsFullForDirectUploads(t *testing.T) {
	s := newServer(t, "", onS3(t, sharedMinIO(t)))
	token, picture := bearer(s.newUser(t).token), tinyJPEG(t)
	id := s.postDirectly(t, token, picture)
	log, err := os.Stat(filepath.Join(s.dataDir, "gatehouse.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	lift := limitFiles(t, log.Size())
	for _, r := range []*http.Request{direct(len(picture), token), complete(id, token)} {
		s.send(t, r).want(t, apperr.StorageFull)
	}
	lift()
	s.send(t, complete(id, token)).want(t, apperr.OK)
}
