package storage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
)

// faultyS3 is a proxy in front of a real S3 that plays a bad network and a bad server.
type faultyS3 struct {
	forward http.Handler
	fault   atomic.Pointer[http.HandlerFunc] // nil: none
}

// openFaulty opens a store on an S3 behind a proxy, and one beside it that sees what really is there.
func openFaulty(t *testing.T) (proxy *faultyS3, s, direct *Store) {
	t.Helper()
	m := dbtest.SharedMinIO(t)
	target := &url.URL{Scheme: "http", Host: m.Endpoint}
	proxy = &faultyS3{forward: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}}}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	o := s3Options(m)
	direct = openStore(t, Options{Shelf: openS3With(t, o), Spool: t.TempDir()})
	o.Endpoint = server.Listener.Addr().String()
	return proxy, openStore(t, Options{Shelf: openS3With(t, o), Spool: t.TempDir()}), direct
}

func (p *faultyS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if fault := p.fault.Load(); fault != nil {
		(*fault)(w, r)
		return
	}
	p.forward.ServeHTTP(w, r)
}

func (p *faultyS3) set(fault http.HandlerFunc) {
	p.fault.Store(&fault)
}

// impatient makes a store on S3 give up soon, and returns what undoes that.
func impatient(s *Store) (undo func()) {
	shelf := s.shelf.(*S3)
	before := shelf.patience
	shelf.patience = time.Second / 4
	return func() { shelf.patience = before }
}

func (p *faultyS3) mend() {
	p.fault.Store(nil)
}

// on plays a fault for one method, and forwards the others.
func (p *faultyS3) on(method string, fault http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method == method {
			fault(w, r)
			return
		}
		p.forward.ServeHTTP(w, r)
	}
}

func answerStatus(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// hang reads what it is sent and does not answer.
func hang(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// cutRequest closes the connection in the middle of the request's body.
func cutRequest(_ http.ResponseWriter, r *http.Request) {
	io.CopyN(io.Discard, r.Body, r.ContentLength/2)
	panic(http.ErrAbortHandler)
}

// loseAnswer lets S3 do its work and closes the connection.
func (p *faultyS3) loseAnswer(_ http.ResponseWriter, r *http.Request) {
	p.forward.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// cutAnswer closes the connection in the middle of the answer's body.
func (p *faultyS3) cutAnswer(w http.ResponseWriter, r *http.Request) {
	whole := httptest.NewRecorder()
	p.forward.ServeHTTP(whole, r)
	for name, values := range whole.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(whole.Code)
	w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestFaultsOfS3(t *testing.T) {
	const content = "aaa.x"
	proxy, s, direct := openFaulty(t)
	keep(t, s, content)
	faults := []struct {
		name  string
		fault http.HandlerFunc
	}{
		{"500", answerStatus(500)},
		{"503", answerStatus(503)},
		{"throttled", answerStatus(429)},
		{"forbidden", answerStatus(403)},
		{"wrong region", answerStatus(301)},
		{"not S3", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>Welcome!</html>") }},
		{"hanging", hang},
		{"cut", cutRequest},
	}
	calls := []struct {
		name string
		call func(ctx context.Context) error
	}{
		{"open", func(ctx context.Context) error { return openAndRead(ctx, s, content) }},
		{"stat", func(ctx context.Context) error { _, err := s.Stat(ctx, content); return err }},
		{"check", s.Check},
		{"remove", func(ctx context.Context) error { return s.Remove(ctx, content) }},
		{"walk", func(ctx context.Context) error {
			var failed error
			for _, err := range s.Walk(ctx) {
				failed = err
			}
			return failed
		}},
		{"put variant", func(ctx context.Context) error { return s.PutVariant(ctx, content, "w64", []byte("x")) }},
		{"place", func(ctx context.Context) error {
			b := s.NewBatch()
			defer b.Discard(ctx)
			create(t, b, "bbb.x")
			return b.Place(ctx)
		}},
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			proxy.set(f.fault)
			undo := func() {}
			if f.name == "hanging" {
				undo = impatient(s)
			}
			for _, c := range calls {
				if f.name == "not S3" && c.name != "open" {
					continue // most are content with the status
				}
				if err := c.call(t.Context()); !IsUnavailable(err) || IsFull(err) {
					t.Errorf("%s: error %v, want one that says that the storage is unavailable", c.name, err)
				}
			}
			proxy.mend()
			undo()
			wantVariants(t, direct, nil)
			if err := s.Sweep(t.Context(), answer(false, nil)); err != nil {
				t.Error(err)
			}
			wantFiles(t, s, []string{content}, 0)
		})
	}
}

func openAndRead(ctx context.Context, s *Store, name string) error {
	f, err := s.Open(ctx, name)
	if err != nil {
		return err
	}
	defer f.Content.Close()
	data, err := io.ReadAll(f.Content)
	if err == nil && string(data) != name {
		err = errors.New("wrong content")
	}
	return err
}

// TestLostAnswer checks that a file whose place on S3 is unknown is swept.
func TestLostAnswer(t *testing.T) {
	proxy, s, direct := openFaulty(t)
	proxy.set(proxy.on(http.MethodPut, proxy.loseAnswer))
	b := s.NewBatch()
	create(t, b, "aaa.x")
	if err := b.Place(t.Context()); !IsUnavailable(err) {
		t.Errorf("error %v, want one that says that the storage is unavailable", err)
	}
	wantFiles(t, direct, []string{"aaa.x"}, 0)
	proxy.set(answerStatus(500))
	if err := b.Discard(t.Context()); !IsUnavailable(err) {
		t.Errorf("error %v, want one that says that the storage is unavailable", err)
	}
	if err := s.Sweep(t.Context(), answer(false, nil)); !IsUnavailable(err) {
		t.Errorf("error %v, want one that says that the storage is unavailable", err)
	}
	proxy.mend()
	if err := s.Sweep(t.Context(), answer(false, nil)); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, nil, 0)
}

// TestLateRequest lets a request reach S3 when the upload has already been given up.
func TestLateRequest(t *testing.T) {
	proxy, s, _ := openFaulty(t)
	var late []*http.Request
	proxy.set(proxy.on(http.MethodPut, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		delayed := r.Clone(context.Background())
		delayed.Body = io.NopCloser(bytes.NewReader(body))
		late = append(late, delayed)
		panic(http.ErrAbortHandler)
	}))
	b := s.NewBatch()
	create(t, b, "aaa.x")
	if err := b.Place(t.Context()); err == nil {
		t.Error("placed without an answer")
	}
	if err := b.Discard(t.Context()); err != nil {
		t.Error(err)
	}
	proxy.mend()
	proxy.forward.ServeHTTP(httptest.NewRecorder(), late[0])
	wantFiles(t, s, []string{"aaa.x"}, 1)
	if err := s.Sweep(t.Context(), answer(false, nil)); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, s, nil, 0)
}

// TestSpoolKeepsNoBytes checks that uploads that fail do not fill the spool until the next sweep.
func TestSpoolKeepsNoBytes(t *testing.T) {
	proxy, s, _ := openFaulty(t)
	proxy.set(answerStatus(500))
	b := s.NewBatch()
	create(t, b, "aaa.x")
	if err := b.Place(t.Context()); err == nil {
		t.Error("placed a file in spite of an error")
	}
	if err := b.Discard(t.Context()); err == nil {
		t.Error("removed a file in spite of an error")
	}
	f, err := openFile(s.entry("aaa.x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Content.Close()
	if f.Size != 0 {
		t.Errorf("the entry has %d bytes", f.Size)
	}
}

func TestBrokenAnswers(t *testing.T) {
	content := strings.Repeat("0123456789", 100_000)
	proxy, s, _ := openFaulty(t)
	b := s.NewBatch()
	write(t, b, "aaa.x", content)
	place(t, b)
	if err := b.Keep(); err != nil {
		t.Fatal(err)
	}
	var cuts atomic.Int32
	tests := []struct {
		name      string
		cuts      int32
		wantError bool
	}{
		{"once", 1, false},
		{"twice", 2, false},
		{"always", 1000, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cuts.Store(test.cuts)
			proxy.set(proxy.on(http.MethodGet, func(w http.ResponseWriter, r *http.Request) {
				if cuts.Add(-1) >= 0 {
					proxy.cutAnswer(w, r)
				}
				proxy.forward.ServeHTTP(w, r)
			}))
			f, err := s.Open(t.Context(), "aaa.x")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Content.Close()
			data, err := io.ReadAll(f.Content)
			if test.wantError && !IsUnavailable(err) || !test.wantError && err != nil {
				t.Errorf("error %v, want an error: %v", err, test.wantError)
			}
			if !strings.HasPrefix(content, string(data)) || err == nil && len(data) != len(content) {
				t.Errorf("read %d bytes that are not those of the file", len(data))
			}
		})
	}
}

// TestStalledAnswer stops in the middle of a file, and then starts from its beginning again.
func TestStalledAnswer(t *testing.T) {
	proxy, s, _ := openFaulty(t)
	keep(t, s, "aaa.x")
	proxy.set(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		io.WriteString(w, "aa")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	defer impatient(s)()
	if err := openAndRead(t.Context(), s, "aaa.x"); !IsUnavailable(err) {
		t.Errorf("error %v, want one that says that the storage is unavailable", err)
	}
}

func TestCanceledRequestIsNotTheStoragesFault(t *testing.T) {
	_, s, _ := openFaulty(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Open(ctx, "aaa.x"); !errors.Is(err, context.Canceled) || IsUnavailable(err) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func TestFullS3(t *testing.T) {
	proxy, s, _ := openFaulty(t)
	proxy.set(proxy.on(http.MethodPut, answerStatus(http.StatusInsufficientStorage)))
	b := s.NewBatch()
	create(t, b, "aaa.x")
	if err := b.Place(t.Context()); !IsFull(err) || IsUnavailable(err) {
		t.Errorf("error %v, want one that says that the storage is full", err)
	}
	if err := b.Discard(t.Context()); err != nil {
		t.Error(err)
	}
}
