package httpapi

import (
	"bufio"
	"bytes"
	"io"
	"mime"
	"net/http"
)

// acceptBookletBodies reads JSON whatever its Content-Type says, as the booklet's server does:
// a plain `curl -d` sends a form type. Forms proper stay forms.
func (s *server) acceptBookletBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/users/regist" {
			body := bufio.NewReader(r.Body)
			if !isForm(r, body) {
				r.Header.Set("Content-Type", "application/json")
			}
			r.Body = readCloser{body, r.Body}
		}
		next.ServeHTTP(w, r)
	})
}

// isForm reports whether a body is called a form and does not begin like JSON.
func isForm(r *http.Request, body *bufio.Reader) bool {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	start, _ := body.Peek(64) // a shorter body has an error, and a start all the same
	return err == nil && mediaType == "application/x-www-form-urlencoded" && !bytes.HasPrefix(bytes.TrimSpace(start), []byte("{"))
}

type readCloser struct {
	*bufio.Reader
	io.Closer
}

// bookletUpload is the answer of an upload, with URLs only.
func bookletUpload(urls []string) any {
	type msg struct {
		ImageURL []string `json:"imageUrl"`
	}
	type data struct {
		Msg  msg `json:"msg"`
		Code int `json:"code"`
	}
	return struct {
		Data data `json:"data"`
	}{data{Msg: msg{urls}}}
}
