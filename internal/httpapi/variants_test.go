package httpapi

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"

	"gatehouse/internal/apperr"
	"gatehouse/internal/codec"
	"gatehouse/internal/dbtest"
)

const (
	jpegContent = "image/jpeg"
	pngContent  = "image/png"
	webpContent = "image/webp"
)

func TestVariants(t *testing.T) {
	tests := []struct {
		query                 string
		wantWidth, wantHeight int
	}{
		{"w=32", 32, 20},
		{"w=20", 32, 20}, // rounded up
		{"h=32", 51, 32},
		{"w=100", 160, 100},
		{"w=5000", 200, 125}, // never larger than the picture
		{"w=64&h=64", 64, 40},
		{"w=64&h=64&fit=inside", 64, 40},
		{"w=64&h=64&fit=cover", 64, 64},
		{"w=64&h=64&fit=contain", 64, 64},
		{"preset=avatar", 125, 125},
		{"preset=avatar&w=32&h=32", 32, 32},
		{"preset=avatar&fit=inside", 160, 100},
		{"format=png", 200, 125},
		{"q=1", 200, 125},
	}
	dbtest.RunURL(t, func(t *testing.T, url string) {
		s := newServer(t, url)
		path := s.newImage(t, photograph(t, 200, 125))
		for _, test := range tests {
			t.Run(test.query, func(t *testing.T) {
				a := s.send(t, get(path+"?"+test.query)).want(t, apperr.OK).wantHeader(t, "Cache-Control", publicCaching)
				if width, height := sizeOf(t, a); width != test.wantWidth || height != test.wantHeight {
					t.Errorf("it has %d × %d pixels, want %d × %d", width, height, test.wantWidth, test.wantHeight)
				}
				again := s.send(t, get(path+"?"+test.query)).wantHeader(t, "ETag", a.header.Get("ETag"))
				if !bytes.Equal(a.body, again.body) {
					t.Error("it is another picture the second time")
				}
			})
		}
		stem := s.send(t, get(path)).header.Get("ETag")
		if s.send(t, get(path+"?w=32")).header.Get("ETag") == stem {
			t.Error("a variant has the ETag of the picture")
		}
		if one, other := s.send(t, get(path+"?w=20")), s.send(t, get(path+"?w=32")); one.header.Get("ETag") != other.header.Get("ETag") {
			t.Error("two sizes that are rounded to one have different ETags")
		}
	})
}

func TestFormatsOfVariants(t *testing.T) {
	const browsers = "image/avif,image/webp,image/*,*/*;q=0.8"
	ofPhotographs := jpegContent // where WebP is written only lossless, which is larger
	if codec.WritesLossyWebP() {
		ofPhotographs = webpContent
	}
	s := newServer(t, "")
	photo, transparent := s.newImage(t, photograph(t, 100, 60)), s.newImage(t, drawing(t, 100, 60))
	for _, test := range []struct {
		path, query, accept, wantType, wantVary string
	}{
		{photo, "", browsers, jpegContent, ""},
		{photo, "w=32", "", jpegContent, "Accept"},
		{photo, "w=32", browsers, ofPhotographs, "Accept"},
		{photo, "format=auto", browsers, ofPhotographs, "Accept"},
		{photo, "w=32&format=png", browsers, pngContent, ""},
		{photo, "w=32&format=webp", "image/png", webpContent, ""},
		{photo, "w=32&format=jpeg", browsers, jpegContent, ""},
		{photo, "preset=avatar", "", jpegContent, "Accept"},
		{transparent, "", browsers, pngContent, ""},
		{transparent, "w=32", "", pngContent, "Accept"},
		{transparent, "w=32", browsers, webpContent, "Accept"},
		{transparent, "w=32&format=jpeg", browsers, jpegContent, ""},
	} {
		t.Run(test.query+" for "+cutAt(test.accept, 10), func(t *testing.T) {
			loaded := s.send(t, get(test.path+"?"+test.query, with("Accept", test.accept))).want(t, apperr.OK)
			asked := s.send(t, head(test.path+"?"+test.query, with("Accept", test.accept))).wantStatus(t, http.StatusOK)
			for _, a := range []answer{loaded, asked} {
				a.wantHeader(t, "Content-Type", test.wantType).wantHeader(t, "Vary", test.wantVary)
			}
			asked.wantHeader(t, "Content-Length", fmt.Sprint(len(loaded.body))).wantHeader(t, "ETag", loaded.header.Get("ETag"))
			if _, _ = sizeOf(t, loaded); loaded.header.Get("Content-Type") != http.DetectContentType(loaded.body) {
				t.Errorf("it is %s in truth", http.DetectContentType(loaded.body))
			}
		})
	}
}

func TestConditionsAndRangesOfVariants(t *testing.T) {
	s := newServer(t, "")
	path := s.newImage(t, photograph(t, 100, 60))
	original, variant := s.send(t, get(path)), s.send(t, get(path+"?w=64"))
	etag, size := variant.header.Get("ETag"), len(variant.body)
	for _, tag := range []string{etag, "*", "W/" + etag} {
		s.send(t, get(path+"?w=64", with("If-None-Match", tag))).wantStatus(t, http.StatusNotModified).wantHeader(t, "Vary", "Accept")
	}
	s.send(t, get(path+"?w=64", with("If-None-Match", original.header.Get("ETag")))).wantStatus(t, http.StatusOK)
	s.send(t, get(path+"?w=64", with("If-Match", original.header.Get("ETag")))).wantStatus(t, http.StatusPreconditionFailed)
	part := s.send(t, get(path+"?w=64", with("Range", "bytes=5-9"), with("If-Range", etag))).wantStatus(t, http.StatusPartialContent)
	part.wantHeader(t, "Content-Range", fmt.Sprintf("bytes 5-9/%d", size))
	if !slices.Equal(part.body, variant.body[5:10]) {
		t.Error("the range has other bytes")
	}
	s.send(t, head(path+"?w=64", with("Range", "bytes=5-9"))).wantStatus(t, http.StatusPartialContent).wantHeader(t, "Content-Length", "5")
	s.send(t, get(path+"?w=64", with("Range", fmt.Sprintf("bytes=%d-", size)))).wantStatus(t, http.StatusRequestedRangeNotSatisfiable)
}

func TestOddVariants(t *testing.T) {
	s := newServer(t, "")
	path := s.newImage(t, photograph(t, 100, 60))
	for query, field := range map[string]string{
		"w=0": "w", "w=-1": "w", "w=65536": "w", "w=1.5": "w", "w=" + marker: "w", "w=": "w", "h=0": "h", "h=99999999999999999999": "h",
		"q=0": "q", "q=101": "q", "fit=" + marker: "fit", "fit=": "fit", "format=gif": "format", "format=" + marker: "format",
		"preset=" + marker: "preset", "preset=Avatar": "preset", "preset=": "preset", "preset=..%2F..%2Fetc": "preset",
		"w=1%00": "w", "w=%E7%95%8C": "w",
	} {
		t.Run(query, func(t *testing.T) {
			a := s.send(t, get(path+"?"+query)).want(t, apperr.InvalidInput)
			if fields := fieldsOf(a); !slices.Equal(fields, []string{field}) {
				t.Errorf("the details name %q, want %s", fields, field)
			}
			s.send(t, head(path+"?"+query)).wantStatus(t, http.StatusBadRequest)
		})
	}
	for _, query := range []string{"w=1", "w=65535&h=65535", "q=100", "unknown=" + marker, "W=0"} {
		s.send(t, get(path+"?"+query)).want(t, apperr.OK)
	}
}

// TestNobodyMayDecode is asked for sizes while there is no turn left: the picture itself is no answer.
func TestNobodyMayDecode(t *testing.T) {
	s := newServer(t, "")
	path := s.newImage(t, photograph(t, 100, 60))
	s.send(t, get(path+"?w=32")).want(t, apperr.OK)
	full := s.stood
	full.images.Decodes, full.images.DecodeWait = 0, 0
	s.start(t, s.build(t, full))
	s.send(t, get(path+"?w=32")).want(t, apperr.OK) // made before
	s.send(t, get(path)).want(t, apperr.OK)
	s.send(t, get(path+"?w=64")).want(t, apperr.ServerBusy).wantHeader(t, "Retry-After", "2")
	s.send(t, head(path+"?w=64")).wantStatus(t, http.StatusServiceUnavailable).wantHeader(t, "Retry-After", "2")
	r := uploadOf([]file{{"a", tinyPNG(t)}}, bearer(s.newUser(t).token), waiting)
	s.send(t, r).want(t, apperr.ServerBusy).wantHeader(t, "Retry-After", "2")
	s.send(t, uploadOf([]file{{"a", phonePicture(t)}}, bearer(s.newUser(t).token))).want(t, apperr.ServerBusy)
	s.send(t, uploadOf([]file{{"a", tinyPNG(t)}}, bearer(s.newUser(t).token))).want(t, apperr.OK)
}

// TestManyAskForTheSameSize all get it, though few may decode.
func TestManyAskForTheSameSize(t *testing.T) {
	s := newServer(t, "", func(s *setup) { s.images.Decodes = 1 })
	path := s.newImage(t, photograph(t, 320, 200))
	var asking sync.WaitGroup
	for i := range 24 {
		asking.Go(func() {
			s.send(t, get(fmt.Sprintf("%s?w=%d", path, []int{32, 64, 160}[i%3]))).want(t, apperr.OK)
		})
	}
	asking.Wait()
}

func TestTakesWebP(t *testing.T) {
	tests := []struct {
		name   string
		accept []string
		want   bool
	}{
		{"a browser", []string{"image/avif,image/webp,image/apng,image/*,*/*;q=0.8"}, true},
		{"with a weight", []string{"image/png, image/webp;q=0.5"}, true},
		{"in a second header", []string{"image/png", "image/webp"}, true},
		{"refused", []string{"image/webp;q=0, image/png"}, false},
		{"refused at length", []string{"image/webp; q=0.000"}, false},
		{"a wildcard", []string{"image/*"}, false},
		{"a longer name", []string{"image/webpage"}, false},
		{"nothing", nil, false},
		{"garbage", []string{";;,image/webp;q=x"}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := takesWebP(&http.Request{Header: http.Header{"Accept": test.accept}}); got != test.want {
				t.Errorf("%q is %t, want %t", test.accept, got, test.want)
			}
		})
	}
}
