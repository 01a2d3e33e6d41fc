package image

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	stdimage "image"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/corpus"
	"gatehouse/internal/db"
	"gatehouse/internal/dbtest"
)

// storeOld stores a picture as the older program did: its bytes as they came, in a file named like the image.
func storeOld(t *testing.T, s *Service, p place, owner string, data []byte) Image {
	t.Helper()
	format, _ := codec.Recognise(data[:min(len(data), codec.HeadSize)])
	image := Image{
		ID: uuid.Must(uuid.NewV7()).String(), OwnerID: owner, Name: newName(format), OriginalName: "old.jpg", Bytes: int64(len(data)),
		Width: 24, Height: 16, ContentType: format.ContentType(), SHA256: sha256.Sum256(data), Visibility: Public, CreatedAt: s.timestamp(),
	}
	batch := s.Store.NewBatch()
	f, err := batch.Create(image.Name)
	if err == nil {
		_, err = f.Write(data)
		err = errors.Join(err, f.Close(), batch.Place(t.Context()))
	}
	if err == nil {
		err = s.Database.InTx(t.Context(), func(q *db.Queries) error { return q.InsertImage(t.Context(), image.insertParams(nil)) })
	}
	if err := errors.Join(err, batch.Keep()); err != nil {
		t.Fatal(err)
	}
	old, err := s.get(t.Context(), image.ID)
	if err != nil || !old.isUnadopted() || old.file != image.Name {
		t.Fatalf("stored %+v, %v", old, err)
	}
	return old
}

// oldPictures are one with a camera, twice, one that is clean, twice, and one that is damaged.
func oldPictures(t *testing.T, s *Service, p place, owner string) []Image {
	t.Helper()
	var images []Image
	damaged := encodeJPEG(t, 24, 16)
	damaged = damaged[:len(damaged)-30]
	for _, data := range [][]byte{withCamera(t), encodeJPEG(t, 8, 9), withCamera(t), encodeJPEG(t, 8, 9), damaged} {
		images = append(images, storeOld(t, s, p, owner, data))
	}
	return images
}

func adopt(t *testing.T, s *Service) int64 {
	t.Helper()
	adopted, err := s.Adopt(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return adopted
}

// wantAdopted checks what oldPictures have become.
func wantAdopted(t *testing.T, s *Service, pool *sql.DB, p place, old []Image) {
	t.Helper()
	wantConsistent(t, pool, p)
	wantAllOwned(t, pool)
	wantCount(t, pool, "blobs", 3)
	wantCount(t, pool, "images", len(old))
	for i, image := range old {
		if i == 4 {
			wantWithdrawn(t, s, image)
			continue
		}
		found, err := s.Find(t.Context(), image.Name, Reader{})
		if err != nil {
			t.Fatal(err)
		}
		want := cleanedOld(t, i)
		if found.isUnadopted() || found.SHA256 != sha256.Sum256(want) || found.Bytes != int64(len(want)) || found.OriginalName != image.OriginalName {
			t.Errorf("picture %d has become %+v", i, found)
		}
		if found.file == image.Name {
			t.Errorf("picture %d still lies under its own name", i)
		}
		wantServed(t, s, found, want)
	}
}

// wantWithdrawn checks that nobody loads an old picture, and that its file stays.
func wantWithdrawn(t *testing.T, s *Service, old Image) {
	t.Helper()
	if _, err := s.Find(t.Context(), old.Name, Reader{UserID: old.OwnerID}); !apperr.Is(err, apperr.ImageNotFound) {
		t.Errorf("find a withdrawn picture: %v, want ImageNotFound", err)
	}
	found, err := s.get(t.Context(), old.ID)
	if err != nil || found.Status != StatusWithdrawn || found.file != old.Name || found.SHA256 != old.SHA256 || found.Bytes != old.Bytes {
		t.Errorf("found %+v, %v, want it withdrawn", found, err)
	}
	if _, err := s.Store.Stat(t.Context(), old.Name); err != nil {
		t.Error(err)
	}
}

// cleanedOld returns what is stored of one of oldPictures.
func cleanedOld(t *testing.T, i int) []byte {
	t.Helper()
	if i == 1 || i == 3 {
		return encodeJPEG(t, 8, 9)
	}
	return cleaned(t, withCamera(t))
}

func TestAdopt(t *testing.T) {
	eachPlace(t, func(t *testing.T, url string, p place) {
		d, pool := openDatabase(t, url)
		s := openServiceIn(t, p, d, Options{})
		old := oldPictures(t, s, p, uuid.NewString())
		for _, image := range old { // they are seen as they are until then
			if _, err := s.Find(t.Context(), image.Name, Reader{}); err != nil {
				t.Errorf("%s: %v", image.Name, err)
			}
		}
		wantServed(t, s, old[0], withCamera(t))
		for _, want := range []int64{3, 0} {
			if adopted := adopt(t, s); adopted != want {
				t.Errorf("adopted %d, want %d", adopted, want)
			}
		}
		wantAdopted(t, s, pool, p, old)
	})
}

// TestAdoptIntoKnownBlob adopts pictures whose clean bytes somebody has uploaded since.
func TestAdoptIntoKnownBlob(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		old := storeOld(t, s, p, "", withCamera(t))
		uploaded := uploadOne(t, s, "", withCamera(t))
		if adopted := adopt(t, s); adopted != 1 {
			t.Errorf("adopted %d, want 1", adopted)
		}
		if found, err := s.get(t.Context(), old.ID); err != nil || found.file != uploaded.file || found.SHA256 != uploaded.SHA256 {
			t.Errorf("adopted as %+v, %v, want the bytes of %+v", found, err, uploaded)
		}
		wantConsistent(t, pool, p)
	})
}

// TestAdoptAtOnce adopts in several processes, while they upload the same bytes and delete some.
func TestAdoptAtOnce(t *testing.T) {
	eachPlace(t, func(t *testing.T, url string, p place) {
		d, pool := openDatabase(t, url)
		one := openServiceIn(t, p, d, Options{})
		two := anotherProcess(t, one, p)
		owner, leaver := uuid.NewString(), uuid.NewString()
		old := oldPictures(t, one, p, owner)
		for _, data := range distinct(t, 20) {
			storeOld(t, one, p, leaver, data)
		}
		var adopted atomic.Int64
		together(6, func(i int) {
			s := []*Service{one, two}[i%2]
			if i > 3 {
				if err := s.DeleteAll(t.Context(), leaver); err != nil {
					t.Error(err)
				}
				return
			}
			n, err := s.Adopt(t.Context())
			if err != nil {
				t.Error(err)
			}
			adopted.Add(n)
		})
		if adopted.Load() < 3 {
			t.Errorf("adopted %d, want 3 at least", adopted.Load())
		}
		now := newClock()
		later := changed(t, one, func(o *Options) { o.Now = now.Now })
		now.advance(2 * one.UnownedKept)
		if _, err := later.SweepBlobs(t.Context()); err != nil {
			t.Error(err)
		}
		wantAdopted(t, two, pool, p, old)
	})
}

// TestAdoptAfterEachStep kills a process between the steps of an adoption; the next one adopts again.
func TestAdoptAfterEachStep(t *testing.T) {
	type under struct {
		s   *Service
		row db.Image
		p   *picture
	}
	receive := func(t *testing.T, u *under) {
		batch := u.s.Store.NewBatch()
		var err error
		if u.p, err = u.s.receiveAgain(t.Context(), batch, u.row); err != nil {
			t.Fatal(err)
		}
		if err := batch.Place(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	markAll := func(t *testing.T, u *under) {
		names, err := u.s.Database.Queries().ListImageNames(t.Context(), u.row.Sha256)
		if err == nil {
			_, err = u.s.Store.Mark(names...)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	move := func(t *testing.T, u *under) {
		err := u.s.Database.InTx(t.Context(), func(q *db.Queries) error { return u.s.moveRows(t.Context(), q, u.row, u.p) })
		if err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, u *under) {
		if u.p.own.file == u.row.Name {
			return
		}
		if err := u.s.Store.Remove(t.Context(), u.row.Name); err != nil {
			t.Fatal(err)
		}
	}
	steps := []func(t *testing.T, u *under){receive, markAll, move, remove}
	for done := range len(steps) + 1 {
		for _, first := range []int{0, 1, 4} { // the others are twins of the first two
			t.Run(fmt.Sprintf("picture %d, %d steps", first, done), func(t *testing.T) {
				dbtest.RunURL(t, func(t *testing.T, url string) {
					d, pool := openDatabase(t, url)
					s, p := openService(t, d, Options{})
					old := oldPictures(t, s, p, uuid.NewString())
					row, err := d.Queries().GetImage(t.Context(), old[first].ID)
					if err != nil {
						t.Fatal(err)
					}
					u := &under{s: s, row: row.Image}
					for _, step := range steps[:done] {
						step(t, u)
					}
					sweepAfter(t, s, p)
					wantConsistent(t, pool, p)
					next := anotherProcess(t, s, p)
					adopt(t, next)
					wantAdopted(t, next, pool, p, old)
				})
			})
		}
	}
}

// TestSweepWaitsForAdoptionUnderWay sweeps while the database still commits for a killed process.
func TestSweepWaitsForAdoptionUnderWay(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		old := storeOld(t, s, p, "", withCamera(t))
		row, err := d.Queries().GetImage(t.Context(), old.ID)
		if err != nil {
			t.Fatal(err)
		}
		batch := s.Store.NewBatch()
		picture, err := s.receiveAgain(t.Context(), batch, row.Image)
		if err == nil {
			err = batch.Place(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		mark(t, s, old)
		moved, commit := make(chan struct{}), make(chan struct{})
		committed := make(chan error, 1)
		go func() {
			committed <- d.InTx(t.Context(), func(q *db.Queries) error {
				err := s.moveRows(t.Context(), q, row.Image, picture)
				close(moved)
				<-commit
				return err
			})
		}()
		<-moved
		time.AfterFunc(50*time.Millisecond, func() { close(commit) })
		sweepAfter(t, s, p)
		if err := <-committed; err != nil {
			t.Fatal(err)
		}
		wantFiles(t, p, picture.own.file)
		wantConsistent(t, pool, p)
	})
}

// TestDeleteUnadopted deletes pictures that have their file for themselves, before they are adopted and meanwhile.
func TestDeleteUnadopted(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		owner := uuid.NewString()
		old := storeOld(t, s, p, owner, withCamera(t))
		if err := s.Delete(t.Context(), owner, old.ID); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, p)

		old = storeOld(t, s, p, owner, withCamera(t))
		adopt(t, s)
		if deleted, err := s.delete(t.Context(), []Image{old}); err != nil || deleted != 0 { // as it was before
			t.Errorf("deleted %d, %v, want none", deleted, err)
		}
		wantConsistent(t, pool, p)
		if err := s.DeleteAll(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		wantCount(t, pool, "images", 0)
		wantAllOwned(t, pool)
		wantConsistent(t, pool, p)
	})
}

// position is planted in pictures that cannot be cleaned.
const position = "SecretPosition"

// withPosition plants a comment in a picture, and turns a JPEG by a quarter.
func withPosition(format codec.Format, data []byte) []byte {
	switch format {
	case codec.JPEG:
		exif := []byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00" + position)
		return join(data[:2], []byte{0xff, 0xe1, 0, byte(len(exif) + 2)}, exif, data[2:])
	case codec.PNG:
		text := []byte("tEXt" + "Comment\x00" + position)
		chunk := binary.BigEndian.AppendUint32(nil, uint32(len(text)-4))
		chunk = binary.BigEndian.AppendUint32(append(chunk, text...), crc32.ChecksumIEEE(text))
		end := len(data) - 12
		return join(data[:end], chunk, data[end:])
	case codec.GIF:
		end := len(data) - 1
		return join(data[:end], []byte{0x21, 0xfe, byte(len(position))}, []byte(position), []byte{0}, data[end:])
	}
	return join(data, []byte(position))
}

// uncleanable returns pictures of the corpus that can be decoded and not be cleaned, each with a position.
func uncleanable(t *testing.T) map[codec.Format][][]byte {
	t.Helper()
	found := map[codec.Format][][]byte{}
	for _, p := range corpus.Pictures() {
		format, known := codec.Recognise(p.Data[:min(len(p.Data), codec.HeadSize)])
		if !known || format.IsConverted() || p.Outcome != corpus.Refused || p.Code == apperr.TooManyPixels || len(p.Data) < 20 || len(p.Data) > 100_000 {
			continue
		}
		data := withPosition(format, p.Data)
		_, _, cleanErr := codec.Clean(io.Discard, bufio.NewReaderSize(bytes.NewReader(data), codec.BufferSize), format, testLimits)
		_, checkErr := codec.Check(bytes.NewReader(data), format, 1, testLimits)
		if isBadPicture(cleanErr) && checkErr == nil {
			found[format] = append(found[format], data)
		}
	}
	return found
}

// TestAdoptWhatCannotBeCleaned encodes pictures again that were fine for years, without their positions.
func TestAdoptWhatCannotBeCleaned(t *testing.T) {
	pictures := uncleanable(t)
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		var old []Image
		for _, format := range []codec.Format{codec.JPEG, codec.PNG, codec.GIF, codec.WebP} {
			if len(pictures[format]) == 0 {
				t.Errorf("the corpus has no %s that can be decoded and not be cleaned", format)
			}
			for _, data := range pictures[format] {
				old = append(old, storeOld(t, s, p, "", data))
			}
		}
		if len(old) < 20 {
			t.Errorf("only %d pictures", len(old))
		}
		if adopted := adopt(t, s); adopted != int64(len(old)) {
			t.Errorf("adopted %d, want %d", adopted, len(old))
		}
		for _, image := range old {
			wantEncodedAgain(t, s, image)
		}
		wantConsistent(t, pool, p)
	})
}

// wantEncodedAgain checks what is loaded of an old picture: its pixels as they are seen, in a format that
// is written, and nothing else.
func wantEncodedAgain(t *testing.T, s *Service, old Image) {
	t.Helper()
	found, err := s.Find(t.Context(), old.Name, Reader{})
	if err != nil {
		t.Fatalf("%s: %v", old.ContentType, err)
	}
	f, err := s.Open(t.Context(), found)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Content.Close()
	data, err := io.ReadAll(f.Content)
	if err != nil || bytes.Contains(data, []byte(position)) || !bytes.Equal(cleaned(t, data), data) || sha256.Sum256(data) != found.SHA256 {
		t.Errorf("%s: %v; %d bytes are not clean", old.ContentType, err, len(data))
	}
	wantType := old.ContentType
	if wantType == codec.GIF.ContentType() {
		wantType = codec.PNG.ContentType()
	}
	config, format, err := stdimage.DecodeConfig(bytes.NewReader(data))
	if err != nil || "image/"+format != wantType || f.ContentType != wantType || found.Width != config.Width || found.Height != config.Height {
		t.Errorf("loaded %+v, a %s of %+v, %v, want an %s", found, format, config, err, wantType)
	}
	if wantType == codec.JPEG.ContentType() && (config.Width != old.Height || config.Height != old.Width) {
		t.Errorf("a JPEG is %d x %d, want it upright", config.Width, config.Height)
	}
}

// TestAdoptWithdraws hides what can be neither cleaned nor decoded, until its owner deletes it.
func TestAdoptWithdraws(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, pool := openDatabase(t, url)
		now := newClock()
		s, p := openService(t, d, Options{Now: now.Now})
		owner := uuid.NewString()
		whole := withPosition(codec.JPEG, encodeJPEG(t, 24, 16))
		for _, data := range [][]byte{whole[:len(whole)-30], []byte(position), {}} {
			old := storeOld(t, s, p, owner, data)
			for _, want := range []int64{1, 0} {
				if adopted := adopt(t, s); adopted != want {
					t.Errorf("adopted %d, want %d", adopted, want)
				}
			}
			wantWithdrawn(t, s, old)
			if err := s.Delete(t.Context(), owner, old.ID); err != nil {
				t.Fatal(err)
			}
			sweepBlobsAfter(t, s, now, 1)
			wantFiles(t, p)
			wantConsistent(t, pool, p)
		}
	})
}

// TestAdoptSaysWhatIsLeft goes on after a picture that cannot be read, and gives up after many.
func TestAdoptSaysWhatIsLeft(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, _ := openDatabase(t, url)
		dir := t.TempDir()
		shelf := &troubled{Shelf: diskIn(t, dir).shelf}
		p := place{shelf, t.TempDir()}
		s := openServiceIn(t, p, d, Options{})
		var old []Image
		for _, data := range distinct(t, maxAdoptFailures+3) {
			old = append(old, storeOld(t, s, p, "", data))
		}
		wantLeft := func(want int, wantAdopted int64, wantOpened int64) {
			t.Helper()
			before := shelf.opened.Load()
			adopted, err := s.Adopt(t.Context())
			if adopted != wantAdopted || err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d old pictures are left", want)) {
				t.Errorf("adopted %d, %v, want %d, and %d left", adopted, err, wantAdopted, want)
			}
			if opened := shelf.opened.Load() - before; opened != wantOpened {
				t.Errorf("opened %d files, want %d", opened, wantOpened)
			}
		}
		shelf.failReading(true)
		wantLeft(len(old), 0, maxAdoptFailures)
		shelf.failReading(false)

		path := filepath.Join(dir, old[0].Name[:2], old[0].Name)
		if err := errors.Join(os.Rename(path, path+"~"), os.Mkdir(path, 0o700)); err != nil {
			t.Fatal(err)
		}
		wantLeft(1, int64(len(old)-1), int64(len(old)))
		if err := errors.Join(os.Remove(path), os.Rename(path+"~", path)); err != nil {
			t.Fatal(err)
		}
		if adopted := adopt(t, s); adopted != 1 {
			t.Errorf("adopted %d, want 1", adopted)
		}
	})
}

// TestAdoptWithoutFile goes on with the others where a file is missing, and ends where the storage fails.
func TestAdoptWithoutFile(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, _ := openDatabase(t, url)
		shelf := &troubled{Shelf: diskIn(t, t.TempDir()).shelf}
		p := place{shelf, t.TempDir()}
		s := openServiceIn(t, p, d, Options{})
		lost, kept := storeOld(t, s, p, "", withCamera(t)), storeOld(t, s, p, "", encodeJPEG(t, 8, 8))
		shelf.failReading(true)
		if adopted, err := s.Adopt(t.Context()); adopted != 0 || !apperr.Is(err, apperr.StorageUnavailable) {
			t.Errorf("adopted %d, %v, want StorageUnavailable", adopted, err)
		}
		shelf.failReading(false)
		if err := s.Store.Remove(t.Context(), lost.Name); err != nil {
			t.Fatal(err)
		}
		if adopted := adopt(t, s); adopted != 1 {
			t.Errorf("adopted %d, want 1", adopted)
		}
		if found, err := s.get(t.Context(), kept.ID); err != nil || found.isUnadopted() {
			t.Errorf("found %+v, %v", found, err)
		}
		if found, err := s.get(t.Context(), lost.ID); err != nil || !reflect.DeepEqual(found, lost) {
			t.Errorf("found %+v, %v, want it as it was", found, err)
		}
	})
}

// TestAdoptedPictureHasNoPosition checks that what older programs left in pictures is gone from the storage.
func TestAdoptedPictureHasNoPosition(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		d, _ := openDatabase(t, url)
		s, p := openService(t, d, Options{})
		old := storeOld(t, s, p, "", withCamera(t))
		adopt(t, s)
		found, err := s.get(t.Context(), old.ID)
		if err != nil {
			t.Fatal(err)
		}
		f, err := s.Store.Open(t.Context(), found.file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Content.Close()
		var b bytes.Buffer
		if _, err := b.ReadFrom(f.Content); err != nil || bytes.Contains(b.Bytes(), []byte("Pear Phone")) {
			t.Errorf("%v; the camera's name is still in the picture", err)
		}
	})
}
