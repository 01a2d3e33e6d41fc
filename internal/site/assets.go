package site

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/swaggest/swgui/v5/static"
)

// AssetsPath is the path below which Assets answers.
const AssetsPath = "/static/web/"

// asset is a file as it is sent.
type asset struct {
	contentType string
	hash        string
	plain       []byte
	gzip        []byte // nil where it would hardly be smaller
}

// assets holds each asset under its plain name, as in "pictures/hero.svg".
type assets map[string]asset

// loadAssets reads assets/ and adds those of Swagger UI.
func loadAssets(files fs.FS, swagger assets) (assets, error) {
	loaded := assets{}
	for name, file := range swagger {
		loaded[name] = file
	}
	err := fs.WalkDir(files, "assets", func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(entry.Name(), ".") && entry.IsDir():
			return fs.SkipDir
		case strings.HasPrefix(entry.Name(), ".") || entry.IsDir():
			return nil
		}
		plain, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(file, "assets/")
		loaded[name] = newAsset(name, plain)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	return loaded, nil
}

// swaggerAssets unpacks the two files of Swagger UI that the docs need.
func swaggerAssets() (assets, error) {
	unpacked := assets{}
	for _, name := range []string{"swagger-ui-bundle.js", "swagger-ui.css"} {
		packed, err := fs.ReadFile(static.FS, name+".gz")
		if err != nil {
			return nil, fmt.Errorf("read Swagger UI: %w", err)
		}
		reader, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return nil, fmt.Errorf("unpack %s: %w", name, err)
		}
		plain, err := io.ReadAll(reader)
		if err != nil {
			return nil, fmt.Errorf("unpack %s: %w", name, err)
		}
		unpacked["swagger-ui/"+name] = asset{contentType: contentType(name), hash: hashOf(plain), plain: plain, gzip: packed}
	}
	return unpacked, nil
}

func newAsset(name string, plain []byte) asset {
	return asset{contentType: contentType(name), hash: hashOf(plain), plain: plain, gzip: compress(plain)}
}

func contentType(name string) string {
	if byName := mime.TypeByExtension(path.Ext(name)); byName != "" {
		return byName
	}
	return "application/octet-stream"
}

func hashOf(plain []byte) string {
	sum := sha256.Sum256(plain)
	return hex.EncodeToString(sum[:8])
}

// compress returns nil where less than a tenth would be saved.
func compress(plain []byte) []byte {
	var packed bytes.Buffer
	writer, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	writer.Write(plain) // a bytes.Buffer takes everything
	writer.Close()
	if packed.Len() > len(plain)*9/10 {
		return nil
	}
	return packed.Bytes()
}

// link returns the path of an asset under its hashed name, as in "/static/web/style.0123456789abcdef.css".
func (a assets) link(name string) (string, error) {
	file, ok := a[name]
	if !ok {
		return "", fmt.Errorf("no such asset: %s", name)
	}
	extension := path.Ext(name)
	return AssetsPath + strings.TrimSuffix(name, extension) + "." + file.hash + extension, nil
}

// find looks an asset up by its hashed name, whose bytes never change, or by its plain one, whose may.
func (a assets) find(name string) (file asset, immutable, ok bool) {
	if file, ok = a[name]; ok {
		return file, false, true
	}
	extension := path.Ext(name)
	stem := strings.TrimSuffix(name, extension)
	hash := strings.TrimPrefix(path.Ext(stem), ".")
	file, ok = a[strings.TrimSuffix(stem, "."+hash)+extension]
	return file, true, ok && file.hash == hash
}

// Assets serves what pages link to, below AssetsPath; what is not there is left to notFound.
// Plain names are for links inside of overridden styles, which know no hash.
func (s *Site) Assets(notFound http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now, _ := s.current() // a broken template is no reason to hold back a picture
		file, immutable, ok := now.assets.find(strings.TrimPrefix(r.URL.Path, AssetsPath))
		if !ok {
			notFound.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-cache")
		if immutable {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		file.ServeHTTP(w, r)
	})
}

// ServeHTTP answers with the bytes, compressed for those who take it, or with 304.
func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, etag := a.plain, a.hash
	header := w.Header()
	if a.gzip != nil {
		header.Add("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header) {
			body, etag = a.gzip, a.hash+"-gzip"
			header.Set("Content-Encoding", "gzip")
		}
	}
	header.Set("Content-Type", a.contentType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("ETag", `"`+etag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func acceptsGzip(header http.Header) bool {
	for coding := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		name, parameters, err := mime.ParseMediaType(coding)
		if err != nil || name != "gzip" {
			continue
		}
		quality, err := strconv.ParseFloat(parameters["q"], 64)
		return err != nil || quality > 0
	}
	return false
}
