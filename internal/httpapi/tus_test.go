package httpapi

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
	"gatehouse/internal/dbtest"
	"gatehouse/internal/image"
)

// begin is a request for a session of so many bytes.
func begin(bytes int, changes ...change) *http.Request {
	return newRequest(http.MethodPost, tusPath, "", nil, append([]change{tus, with("Upload-Length", strconv.Itoa(bytes))}, changes...)...)
}

// continueAt is a request that sends a piece.
func continueAt(session string, offset int, piece []byte, changes ...change) *http.Request {
	return newRequest(http.MethodPatch, session, "application/offset+octet-stream", bytes.NewReader(piece),
		append([]change{tus, with("Upload-Offset", strconv.Itoa(offset))}, changes...)...)
}

// metadata pairs names with values.
func metadata(pairs ...string) change {
	var encoded []string
	for pair := range slices.Chunk(pairs, 2) {
		encoded = append(encoded, pair[0]+" "+base64.StdEncoding.EncodeToString([]byte(pair[1])))
	}
	return with("Upload-Metadata", strings.Join(encoded, ","))
}

// TestTusStory follows a picture from its announcement to its end.
func TestTusStory(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u, picture := s.newUser(t), jpegOf(t, 100_000)
		token := bearer(u.token)
		begun := s.send(t, begin(len(picture), token, metadata("filename", "我的照片.jpg", "title", "海边", "visibility", "private", "filetype", "image/jpeg")))
		location := begun.wantStatus(t, http.StatusCreated).header.Get("Location")
		if !strings.HasPrefix(location, s.base.String()+tusPath+"/") {
			t.Errorf("Location is %s", location)
		}
		expires := s.clock.Now().Add(day).UTC().Format(http.TimeFormat)
		begun.wantHeader(t, "Upload-Expires", expires)
		session := pathOf(t, location)
		at := func(offset int) {
			t.Helper()
			a := s.send(t, head(session, tus, token)).wantStatus(t, http.StatusOK).wantHeader(t, "Upload-Offset", strconv.Itoa(offset))
			a.wantHeader(t, "Upload-Length", "100000").wantHeader(t, "Cache-Control", "no-store").wantHeader(t, "Upload-Expires", expires)
		}
		at(0)
		for offset := 0; offset < 90_000; offset += 30_000 {
			kept := s.send(t, continueAt(session, offset, picture[offset:offset+30_000], token)).wantStatus(t, http.StatusNoContent)
			kept.wantHeader(t, "Upload-Offset", strconv.Itoa(offset+30_000)).wantHeader(t, "Upload-Expires", expires).wantHeader(t, "Content-Location", "")
			at(offset + 30_000)
		}
		complete := s.send(t, continueAt(session, 90_000, picture[90_000:], token)).wantStatus(t, http.StatusNoContent).wantHeader(t, "Upload-Offset", "100000")
		at(100_000)
		stored := decoded[api.UploadSessionResult](t, s.send(t, get(session, token))).Data.Msg
		if stored.Image == nil || stored.Image.Name != "我的照片.jpg" || stored.Image.Visibility != api.VisibilityPrivate || stored.Received != 100_000 {
			t.Fatalf("session %+v", stored)
		}
		complete.wantHeader(t, "Content-Location", "/upload/images/"+stored.Image.ID.String())
		if loaded := s.send(t, get(pathOf(t, stored.Image.URL), token)); !bytes.Equal(loaded.body, picture) {
			t.Errorf("%d bytes came back, want %d", len(loaded.body), len(picture))
		}
		s.send(t, del("/upload/images/"+stored.Image.ID.String(), token)).want(t, apperr.OK)
		if gone := decoded[api.UploadSessionResult](t, s.send(t, get(session, token))).Data.Msg; gone.Image != nil {
			t.Errorf("the session still has a picture that was deleted: %+v", gone.Image)
		}
		s.send(t, del(session, tus, token)).wantStatus(t, http.StatusNoContent)
		s.send(t, head(session, tus, token)).wantStatus(t, http.StatusNotFound)
	})
}

// TestUploadSessionIsDescribed shows one that is not complete, as the example of the contract does.
func TestUploadSessionIsDescribed(t *testing.T) {
	s := newServer(t, "")
	s.clock.set(exampleLogin)
	token := bearer(s.newUser(t).token)
	session := pathOf(t, s.send(t, begin(48213, token)).header.Get("Location"))
	s.send(t, continueAt(session, 0, make([]byte, 16384), token)).wantStatus(t, http.StatusNoContent)
	s.send(t, get(session, token)).want(t, apperr.OK).wantText(t, `"bytes":48213,"received":16384,"expiresAt":"2026-11-21T08:00:00Z"}`)
}

func TestTusCapabilities(t *testing.T) {
	s := newServer(t, "")
	a := s.send(t, newRequest(http.MethodOptions, tusPath, "", nil)).wantStatus(t, http.StatusNoContent)
	a.wantHeader(t, "Tus-Resumable", "1.0.0").wantHeader(t, "Tus-Version", "1.0.0").wantHeader(t, "Tus-Max-Size", "1048576")
	a.wantHeader(t, "Tus-Extension", "creation,expiration,checksum,termination").wantHeader(t, "Tus-Checksum-Algorithm", "sha1,sha256")
}

// TestTusVersionOfEveryAnswer looks for the header where the protocol wants it: everywhere.
func TestTusVersionOfEveryAnswer(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	token, session := bearer(u.token), s.newSession(t, u, "10")
	for name, r := range map[string]*http.Request{
		"begun":              begin(10, token),
		"stranger":           begin(10),
		"nothing announced":  newRequest(http.MethodPost, tusPath, "", nil, tus, token),
		"described":          get(session, token),
		"unknown":            head(tusPath+"/"+uuid.NewString(), tus, token),
		"no id":              head(tusPath+"/x", tus, token),
		"wrong offset":       continueAt(session, 5, []byte("x"), token),
		"wrong type":         newRequest(http.MethodPatch, session, jsonType, strings.NewReader("{}"), tus, with("Upload-Offset", "0"), token),
		"wrong method":       newRequest(http.MethodPut, session, "", nil, tus, token),
		"longer path":        get(session+"/x", token),
		"older version":      head(session, with("Tus-Resumable", "0.2.2"), token),
		"after all of these": del(session, tus, token),
	} {
		t.Run(name, func(t *testing.T) { s.send(t, r).wantHeader(t, "Tus-Resumable", "1.0.0") })
	}
	s.send(t, get("/healthz")).wantHeader(t, "Tus-Resumable", "")
	s.send(t, get("/upload/sessions")).wantHeader(t, "Tus-Resumable", "")
}

func TestOtherTusVersionsAreRefused(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	token, session := bearer(u.token), s.newSession(t, u, "10")
	for _, version := range []change{with("Tus-Resumable", "0.2.2"), with("Tus-Resumable", "1.0"), func(r *http.Request) { r.Header.Del("Tus-Resumable") }} {
		for _, r := range []*http.Request{
			begin(10, token, version), head(session, token, version), continueAt(session, 0, []byte("x"), token, version), del(session, token, version),
		} {
			s.send(t, r).wantStatus(t, http.StatusPreconditionFailed).wantHeader(t, "Tus-Version", "1.0.0")
		}
	}
	s.send(t, head(session, tus, token)).wantStatus(t, http.StatusOK).wantHeader(t, "Upload-Offset", "0")
}

func TestUploadMetadata(t *testing.T) {
	title := strings.Repeat("图", 200)
	tests := []struct {
		name   string
		header string
		want   apperr.Code
	}{
		{"empty", "", apperr.InvalidInput},
		{"one", "filename YS5qcGc=", apperr.OK},
		{"unknown", "relativePath bnVsbA==,filetype aW1hZ2UvanBlZw==", apperr.OK},
		{"without a value", "is_confidential", apperr.OK},
		{"empty value", "filename ", apperr.OK},
		{"spaces behind commas", "filename YS5qcGc=, title YQ==", apperr.OK},
		{"long title", "title " + base64.StdEncoding.EncodeToString([]byte(title)), apperr.OK},
		{"too long title", "title " + base64.StdEncoding.EncodeToString([]byte(title+"x")), apperr.InvalidInput},
		{"twice", "filename YQ==,filename Yg==", apperr.InvalidInput},
		{"no base64", "filename " + marker + "!", apperr.InvalidInput},
		{"base64 for URLs", "filename _-8=", apperr.InvalidInput},
		{"no padding", "filename YQ", apperr.InvalidInput},
		{"no UTF-8", "filename /w==", apperr.InvalidInput},
		{"two spaces", "filename YQ== YQ==", apperr.InvalidInput},
		{"only commas", ",,", apperr.InvalidInput},
		{"comma at the end", "filename YQ==,", apperr.InvalidInput},
		{"visibility", "visibility cHJpdmF0ZQ==", apperr.OK},
		{"unknown visibility", "visibility c2VzYW1l", apperr.InvalidInput},
		{"too much", "filename " + strings.Repeat("YWFh", 3000), apperr.InvalidInput},
	}
	s := newServer(t, "", func(s *setup) { s.uploads.MaxSessions = len(tests) })
	token := bearer(s.newUser(t).token)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := s.send(t, begin(10, token, with("Upload-Metadata", test.header)))
			if test.want == apperr.OK {
				a.wantStatus(t, http.StatusCreated)
				return
			}
			if a.want(t, test.want); len(a.errors.Details) == 0 || !strings.Contains(fmt.Sprint(a.errors.Details), "Upload-Metadata") {
				t.Errorf("details %+v do not name the header", a.errors.Details)
			}
		})
	}
}

func TestUploadChecksums(t *testing.T) {
	one, two := sha1.Sum([]byte("12345")), sha256.Sum256([]byte("12345"))
	tests := []struct {
		name, header string
		want         apperr.Code
	}{
		{"sha1", "sha1 " + base64.StdEncoding.EncodeToString(one[:]), apperr.OK},
		{"sha256", "sha256 " + base64.StdEncoding.EncodeToString(two[:]), apperr.OK},
		{"of other bytes", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", apperr.ChecksumMismatch},
		{"md5", "md5 gnzLDuqKcGxMNKFokfhOew==", apperr.InvalidInput},
		{"too short", "sha1 " + base64.StdEncoding.EncodeToString(one[:10]), apperr.InvalidInput},
		{"no base64", "sha1 =", apperr.InvalidInput},
		{"bad padding", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0", apperr.InvalidInput},
		{"no sum", "sha1", apperr.InvalidInput},
		{"no algorithm", base64.StdEncoding.EncodeToString(one[:]), apperr.InvalidInput},
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				session := s.newSession(t, u, "10")
				a := s.send(t, continueAt(session, 0, []byte("12345"), bearer(u.token), with("Upload-Checksum", test.header)))
				want := 0
				if test.want == apperr.OK {
					a.wantStatus(t, http.StatusNoContent)
					want = 5
				} else {
					a.want(t, test.want)
				}
				s.send(t, head(session, tus, bearer(u.token))).wantHeader(t, "Upload-Offset", strconv.Itoa(want))
			})
		}
	})
}

func TestPiecesAreRefused(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u, other := s.newUser(t), s.newUser(t)
		token, session := bearer(u.token), s.newSession(t, u, "10")
		s.send(t, continueAt(session, 0, []byte("123"), token)).wantStatus(t, http.StatusNoContent)
		tests := []struct {
			name    string
			request *http.Request
			want    apperr.Code
		}{
			{"earlier", continueAt(session, 0, []byte("123"), token), apperr.OffsetMismatch},
			{"later", continueAt(session, 4, []byte("5"), token), apperr.OffsetMismatch},
			{"negative", continueAt(session, -1, []byte("5"), token), apperr.InvalidInput},
			{"no number", continueAt(session, 0, []byte("5"), token, with("Upload-Offset", "3x")), apperr.InvalidInput},
			{"no offset", continueAt(session, 0, []byte("5"), token, func(r *http.Request) { r.Header.Del("Upload-Offset") }), apperr.InvalidInput},
			{"one byte too many", continueAt(session, 3, []byte("45678901"), token), apperr.UploadTooLarge},
			{"far too many", continueAt(session, 3, make([]byte, 3<<20), token), apperr.UploadTooLarge},
			{"somebody else's", continueAt(session, 3, []byte("4"), bearer(other.token)), apperr.UploadSessionNotFound},
			{"a cancel of somebody else", del(session, tus, bearer(other.token)), apperr.UploadSessionNotFound},
			{"no id", continueAt(tusPath+"/1", 3, []byte("4"), token), apperr.InvalidInput},
			{"no id to look at", get(tusPath+"/1", token), apperr.InvalidInput},
			{"no id to cancel", del(tusPath+"/1", tus, token), apperr.InvalidInput},
			{"somebody else's to look at", get(session, bearer(other.token)), apperr.UploadSessionNotFound},
		}
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s.send(t, test.request).want(t, test.want)
				s.send(t, head(session, tus, token)).wantHeader(t, "Upload-Offset", "3")
			})
		}
		s.send(t, head(tusPath+"/1", tus, token)).wantStatus(t, http.StatusBadRequest)
	})
}

// TestPicturesInPiecesAreRefused sends all but the first ten bytes as the last piece.
func TestPicturesInPiecesAreRefused(t *testing.T) {
	whole := tinyJPEG(t)
	tests := []struct {
		name    string
		picture []byte
		want    apperr.Code
	}{
		{"text", []byte(strings.Repeat(marker, 10)), apperr.NotAnImage},
		{"cut off", whole[:len(whole)-2], apperr.ImageDamaged},
		{"huge", hugeGIF(t), apperr.TooManyPixels},
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u := s.newUser(t)
		token := bearer(u.token)
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				session := s.newSession(t, u, strconv.Itoa(len(test.picture)))
				s.send(t, continueAt(session, 0, test.picture[:10], token)).wantStatus(t, http.StatusNoContent)
				s.send(t, continueAt(session, 10, test.picture[10:], token)).want(t, test.want)
				s.send(t, head(session, tus, token)).wantStatus(t, http.StatusNotFound)
				s.wantNoPictures(t)
			})
		}
	})
}

func TestUploadQuotas(t *testing.T) {
	picture := tinyJPEG(t)
	for quota, want := range map[image.Quota]apperr.Code{{Images: 1}: apperr.ImageCountExceeded, {Bytes: int64(len(picture))}: apperr.ImageBytesExceeded} {
		s := newServer(t, "", func(s *setup) { s.images.Quota = quota })
		u := s.newUser(t)
		token, session := bearer(u.token), s.newSession(t, u, strconv.Itoa(len(picture)))
		s.send(t, uploadOf([]file{{"a.jpg", picture}}, token)).want(t, apperr.OK)
		s.send(t, begin(len(picture), token)).want(t, want)
		s.send(t, continueAt(session, 0, picture, token)).want(t, want)
		s.send(t, head(session, tus, token)).wantStatus(t, http.StatusOK).wantHeader(t, "Upload-Offset", "0")
	}
}

func TestUploadSessionsAreLimited(t *testing.T) {
	s := newServer(t, "", func(s *setup) { s.uploads.MaxSessions = 1 })
	u := s.newUser(t)
	token := bearer(u.token)
	s.send(t, begin(1<<20+1, token)).want(t, apperr.UploadTooLarge)
	s.send(t, begin(0, token)).want(t, apperr.InvalidInput)
	session := s.newSession(t, u, "10")
	s.send(t, begin(10, token)).want(t, apperr.TooManyUploadSessions)
	s.send(t, del(session, tus, token)).wantStatus(t, http.StatusNoContent)
	session = s.newSession(t, u, "10")
	s.clock.advance(2 * day)
	token = bearer(s.login(t, u.phone).token)
	s.send(t, head(session, tus, token)).wantStatus(t, http.StatusNotFound)
	s.send(t, begin(10, token)).wantStatus(t, http.StatusCreated)
}

// TestMethodOverride plays a client whose network lets nothing through but GET and POST.
func TestMethodOverride(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	token, session := bearer(u.token), s.newSession(t, u, "10")
	as := func(method string) change {
		return func(r *http.Request) { r.Method = http.MethodPost; r.Header.Set("X-HTTP-Method-Override", method) }
	}
	s.sendUnchecked(t, continueAt(session, 0, []byte("123"), token, as(http.MethodPatch))).wantStatus(t, http.StatusNoContent).wantHeader(t, "Upload-Offset", "3")
	s.sendUnchecked(t, continueAt(session, 3, []byte("456"), token, as("patch"))).want(t, apperr.MethodNotAllowed)
	s.sendUnchecked(t, del(session, tus, token, as(http.MethodDelete))).wantStatus(t, http.StatusNoContent)
	s.send(t, head(session, tus, token)).wantStatus(t, http.StatusNotFound)
	s.send(t, post("/users/me", "", "", token, as(http.MethodPatch))).want(t, apperr.MethodNotAllowed) // only here
}

// TestPieceThatIsCutOff closes the connection in the middle of a piece.
func TestPieceThatIsCutOff(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		u, picture := s.newUser(t), jpegOf(t, 50_000)
		token, session := bearer(u.token), s.newSession(t, u, "50000")
		for i, framing := range []string{"Content-Length: %d\r\n\r\n%s", "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s"} {
			id, rest := fmt.Sprintf("cut-%d", i), picture[i*10_000:]
			s.sendAndGo(t, fmt.Sprintf("PATCH %s HTTP/1.1\r\nHost: %s\r\nX-Request-ID: %s\r\nAuthorization: Bearer %s\r\nTus-Resumable: 1.0.0\r\n"+
				"Upload-Offset: %d\r\nContent-Type: application/offset+octet-stream\r\n"+framing,
				session, s.base.Host, id, u.token, i*10_000, len(rest), rest[:10_000]))
			s.logs.await("msg=request method=PATCH", "request_id="+id)
			s.send(t, head(session, tus, token)).wantHeader(t, "Upload-Offset", strconv.Itoa((i+1)*10_000))
		}
		s.send(t, continueAt(session, 20_000, picture[20_000:], token)).wantStatus(t, http.StatusNoContent)
		stored := decoded[api.UploadSessionResult](t, s.send(t, get(session, token))).Data.Msg
		if loaded := s.send(t, get(pathOf(t, stored.Image.URL))); !bytes.Equal(loaded.body, picture) {
			t.Errorf("%d bytes came back, want %d", len(loaded.body), len(picture))
		}
	})
}

// TestPiecesStream sends a piece whose end never comes: what has come is written down before.
func TestPiecesStream(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	session := s.newSession(t, u, "1000000")
	body, client := io.Pipe()
	r := continueAt(session, 0, nil, bearer(u.token))
	r.Body, r.ContentLength = body, -1
	answered := make(chan answer)
	go func() { answered <- s.sendUnchecked(t, r) }()
	if _, err := client.Write(make([]byte, 300_000)); err != nil {
		t.Fatal(err)
	}
	s.send(t, head(session, tus, bearer(u.token))).wantHeader(t, "Upload-Offset", "0") // it is no piece yet
	client.Close()
	(<-answered).wantStatus(t, http.StatusNoContent).wantHeader(t, "Upload-Offset", "300000")
}

// TestHangingPieceIsInterrupted begins another piece while the server still waits for one. One that was interrupted
// before the server had read of it keeps nothing, and hangs again.
func TestHangingPieceIsInterrupted(t *testing.T) {
	s := newServer(t, "")
	u := s.newUser(t)
	token, session := bearer(u.token), s.newSession(t, u, "1000000")
	for kept := "0"; kept == "0"; {
		interrupted := s.interruptPiece(t, session, token)
		kept = s.send(t, head(session, tus, token)).header.Get("Upload-Offset")
		interrupted.wantStatus(t, http.StatusNoContent).wantHeader(t, "Upload-Offset", kept)
	}
}

// interruptPiece sends a piece without an end, and others until the server has answered it.
func (s *testServer) interruptPiece(t *testing.T, session string, token change) answer {
	t.Helper()
	body, client := io.Pipe()
	defer client.Close()
	r := continueAt(session, 0, nil, token)
	r.Body, r.ContentLength = body, -1
	answered := make(chan answer, 1)
	go func() { answered <- s.sendUnchecked(t, r) }()
	if _, err := client.Write(make([]byte, 300_000)); err != nil {
		t.Fatal(err)
	}
	for {
		s.send(t, continueAt(session, 999_999, []byte("x"), token)).want(t, apperr.OffsetMismatch)
		select {
		case a := <-answered:
			return a
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestTusFromAnotherOrigin(t *testing.T) {
	const ours = "https://app.example.com"
	s := newServer(t, "", func(s *setup) { s.api.CORSOrigins = []string{ours} })
	headers := "authorization,content-type,tus-resumable,upload-checksum,upload-length,upload-metadata,upload-offset"
	for _, method := range []string{http.MethodPost, http.MethodHead, http.MethodPatch, http.MethodDelete} {
		allowed := s.sendUnchecked(t, newRequest(http.MethodOptions, tusPath, "", nil, with("Origin", ours),
			with("Access-Control-Request-Method", method), with("Access-Control-Request-Headers", headers)))
		allowed.wantStatus(t, http.StatusNoContent).wantHeader(t, "Access-Control-Allow-Methods", method).wantHeader(t, "Access-Control-Allow-Headers", headers)
	}
	begun := s.send(t, begin(10, bearer(s.newUser(t).token), with("Origin", ours))).wantStatus(t, http.StatusCreated)
	exposed := begun.header.Get("Access-Control-Expose-Headers")
	for _, header := range []string{"Location", "Tus-Resumable", "Upload-Offset", "Upload-Expires"} {
		if !strings.Contains(exposed, header) {
			t.Errorf("scripts can read %q, want %s among them", exposed, header)
		}
	}
}
