package site

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"gatehouse/internal/apperr"
)

// get asks for an asset; header holds pairs of name and value.
func get(t *testing.T, s *Site, path string, header ...string) *http.Response {
	t.Helper()
	notFound := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	request := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	s.Assets(notFound).ServeHTTP(recorder, request)
	return recorder.Result()
}

func body(t *testing.T, response *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func link(t *testing.T, s *Site, name string) string {
	t.Helper()
	path, err := s.loaded.assets.link(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEveryLinkOfEveryPageResolves(t *testing.T) {
	s := newSite(t, Options{})
	links := regexp.MustCompile(`(?:src|href)="(` + AssetsPath + `[^"]+)"`)
	for name, sample := range samples {
		page, err := s.render(name, apperr.English, sample)
		if err != nil {
			t.Fatal(err)
		}
		found := links.FindAllStringSubmatch(string(page), -1)
		if len(found) == 0 {
			t.Errorf("%s links to no asset", name)
		}
		for _, match := range found {
			if response := get(t, s, match[1]); response.StatusCode != http.StatusOK {
				t.Errorf("%s links to %s, which answers %d", name, match[1], response.StatusCode)
			}
		}
	}
}

func TestAssetHeaders(t *testing.T) {
	s := newSite(t, Options{})
	const immutable = "public, max-age=31536000, immutable"
	tests := []struct {
		path      string
		wantType  string
		wantCache string
	}{
		{link(t, s, "style.css"), "text/css; charset=utf-8", immutable},
		{link(t, s, "docs.js"), "text/javascript; charset=utf-8", immutable},
		{link(t, s, "favicon.svg"), "image/svg+xml", immutable},
		{link(t, s, "pictures/hero.svg"), "image/svg+xml", immutable},
		{link(t, s, "swagger-ui/swagger-ui-bundle.js"), "text/javascript; charset=utf-8", immutable},
		{AssetsPath + "style.css", "text/css; charset=utf-8", "no-cache"},
	}
	for _, test := range tests {
		t.Run(test.path, func(t *testing.T) {
			header := get(t, s, test.path).Header
			for name, want := range map[string]string{
				"Content-Type":           test.wantType,
				"Cache-Control":          test.wantCache,
				"X-Content-Type-Options": "nosniff",
				"Vary":                   "Accept-Encoding",
			} {
				if got := header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			again := get(t, s, test.path, "If-None-Match", header.Get("ETag"))
			if again.StatusCode != http.StatusNotModified {
				t.Errorf("with its ETag it answers %d, want 304", again.StatusCode)
			}
		})
	}
}

func TestAssetsNotFound(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "assets/.hidden/key.txt", "-")
	write(t, dir, "assets/.env", "-")
	s := newSite(t, Options{Dir: dir})
	for _, path := range []string{
		"", "nothing.css", "style.0000000000000000.css", "style..css", "pictures", "pictures/", "../embed.go",
		"templates/home.html", ".env", ".hidden/key.txt", ".", "a.", "." + strings.Repeat("x", 2000),
	} {
		response := get(t, s, AssetsPath+path)
		if response.StatusCode != http.StatusTeapot {
			t.Errorf("%q answers %d, want what notFound says", path, response.StatusCode)
		}
		if cache := response.Header.Get("Cache-Control"); cache != "" {
			t.Errorf("%q: the answer of notFound has Cache-Control %q", path, cache)
		}
	}
}

func TestAssetCompression(t *testing.T) {
	s := newSite(t, Options{})
	for _, name := range []string{"style.css", "swagger-ui/swagger-ui.css"} {
		path := link(t, s, name)
		plain, packed := get(t, s, path), get(t, s, path, "Accept-Encoding", "br, gzip")
		if got := packed.Header.Get("Content-Encoding"); got != "gzip" {
			t.Fatalf("%s: Content-Encoding %q, want gzip", name, got)
		}
		if plain.Header.Get("ETag") == packed.Header.Get("ETag") {
			t.Errorf("%s: plain and compressed bytes have the same ETag", name)
		}
		unpacked, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(unpacked)
		if err != nil || !bytes.Equal(got, body(t, plain)) {
			t.Errorf("%s: compressed and plain bytes differ: %v", name, err)
		}
	}
}

func TestAcceptsGzip(t *testing.T) {
	tests := []struct {
		header string
		want   bool
	}{
		{"", false},
		{"gzip", true},
		{"GZIP", true},
		{"deflate, gzip;q=0.5", true},
		{"gzip;q=0", false},
		{"gzip;q=0.000, br", false},
		{"br", false},
		{"xgzip", false},
		{";;;,", false},
	}
	for _, test := range tests {
		if got := acceptsGzip(http.Header{"Accept-Encoding": {test.header}}); got != test.want {
			t.Errorf("acceptsGzip(%q) = %v, want %v", test.header, got, test.want)
		}
	}
}

func TestOverriddenAssetGetsAnotherName(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "assets/style.css", "body { color: teal }")
	before, after := newSite(t, Options{}), newSite(t, Options{Dir: dir})
	if link(t, before, "style.css") == link(t, after, "style.css") {
		t.Error("a changed asset keeps its name, and caches keep the old bytes")
	}
	if got := string(body(t, get(t, after, link(t, after, "style.css")))); got != "body { color: teal }" {
		t.Errorf("the asset is %q, not the overriding one", got)
	}
	if link(t, before, "favicon.svg") != link(t, after, "favicon.svg") {
		t.Error("an asset that was not overridden changed its name")
	}
}
