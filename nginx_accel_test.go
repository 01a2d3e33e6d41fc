package main

import (
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/apperr"
)

// picturesOrigin may load pictures by script, so that their answers have all headers that there are.
const picturesOrigin = "https://shop.example.org"

// TestAccelRedirect loads pictures through nginx, once from its own disk and once from servers that send the bytes.
// The answers are the same, header by header.
func TestAccelRedirect(t *testing.T) {
	h := startHouse(t, "--cors-origin", picturesOrigin, "--accel-redirect", "/internal-pictures/")
	plain := h.beside(t, "--cors-origin", picturesOrigin)
	app := h.client(t, phone)
	bearer := []string{"Authorization", "Bearer " + registerAndLogIn(t, app)}
	public := messageOf[uploaded](t, app.upload([]file{{"a.jpg", noise(t, 300_000)}}, bearer...)).Images[0]
	contentType, body := form(t, "image", []file{{"b.png", pngPicture(t)}})
	private := messageOf[uploaded](t, app.do(http.MethodPost, "/upload/file?visibility=private", body, append(bearer, "Content-Type", contentType)...))
	link := messageOf[struct{ URL string }](t, app.postJSON("/upload/images/"+private.Images[0].ID+"/link", `{"expiresIn":600}`, bearer...)).URL
	etag := app.get(public.URL).header.Get("ETag")
	modified := app.get(public.URL).header.Get("Last-Modified")
	app.get(public.URL + "?w=160&format=jpeg") // is made and stored now

	for _, test := range []struct {
		name, method, url string
		headers           []string
		fromDisk          bool // by nginx
	}{
		{"a picture", http.MethodGet, public.URL, nil, true},
		{"for a script", http.MethodGet, public.URL, []string{"Origin", picturesOrigin}, true},
		{"a variant", http.MethodGet, public.URL + "?w=160&format=jpeg", nil, true},
		{"a variant by Accept", http.MethodGet, public.URL + "?w=160", []string{"Accept", "image/jpeg", "Origin", picturesOrigin}, true},
		{"a private picture", http.MethodGet, private.ImageURL[0], bearer, true},
		{"by a link", http.MethodGet, link, nil, true},
		{"HEAD", http.MethodHead, public.URL, nil, false},
		{"not modified", http.MethodGet, public.URL, []string{"If-None-Match", etag}, false},
		{"another tag", http.MethodGet, public.URL, []string{"If-None-Match", `"other"`}, false},
		{"not modified since", http.MethodGet, public.URL, []string{"If-Modified-Since", modified}, false},
		{"precondition", http.MethodGet, public.URL, []string{"If-Match", etag}, false},
		{"failed precondition", http.MethodGet, public.URL, []string{"If-Match", `"other"`}, false},
		{"a range", http.MethodGet, public.URL, []string{"Range", "bytes=100-299"}, false},
		{"a range if it is the same", http.MethodGet, public.URL, []string{"Range", "bytes=-50", "If-Range", etag}, false},
		{"no range", http.MethodGet, public.URL, []string{"Range", "bytes=999999999-"}, false},
		{"a stranger", http.MethodGet, private.ImageURL[0], nil, false},
		{"no picture", http.MethodGet, publicURL + "/static/image/" + strings.Repeat("a", 32) + ".jpg", nil, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			id := strings.ReplaceAll(test.name, " ", "-")
			headers := append([]string{"X-Request-ID", id}, test.headers...)
			want := plain.client(t, phone).do(test.method, test.url, nil, headers...)
			got := app.do(test.method, test.url, nil, headers...)
			wantSameAnswer(t, got, want)
			eventually(t, "nginx logs the request", func() bool { return h.requests(t)[id].path != "" })
			if path := h.requests(t)[id].path; strings.HasPrefix(path, "/internal-pictures/") != test.fromDisk {
				t.Errorf("nginx sends %s, want from its disk %t", path, test.fromDisk)
			}
		})
	}
	t.Run("outside", func(t *testing.T) {
		app.get("/internal-pictures/"+filepath.Base(public.URL)[:2]+"/"+filepath.Base(public.URL)).wantEnvelope(t, apperr.ImageNotFound, apperr.Chinese)
	})
	t.Run("no proxy", func(t *testing.T) { h.wantBytesForOthers(t, public.URL) })
}

// wantSameAnswer compares two answers, but for their times.
func wantSameAnswer(t *testing.T, got, want answer) {
	t.Helper()
	for _, a := range []answer{got, want} {
		a.header.Del("Date")
	}
	if got.status != want.status || got.body != want.body {
		t.Errorf("status %d with %d bytes, want %d with %d", got.status, len(got.body), want.status, len(want.body))
	}
	if !maps.EqualFunc(got.header, want.header, func(a, b []string) bool { return strings.Join(a, ", ") == strings.Join(b, ", ") }) {
		t.Errorf("headers %v\nwant    %v", got.header, want.header)
	}
}

// wantBytesForOthers asks a server past nginx, from an address that is no trusted proxy's.
func (h *house) wantBytesForOthers(t *testing.T, url string) {
	t.Helper()
	app := h.client(t, phone)
	app.http.Transport.(*http.Transport).DialContext = dialerOf(phone).DialContext
	got := app.get(fmt.Sprintf("http://%s%s", h.servers[0].address, pathOfURL(t, url)))
	if got.status != http.StatusOK || got.body == "" || got.header.Get("X-Accel-Redirect") != "" {
		t.Errorf("status %d with %d bytes, headers %v; want the bytes", got.status, len(got.body), got.header)
	}
}
