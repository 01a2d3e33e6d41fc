package httpapi

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
)

// acceptBookletBodies reads JSON whatever its Content-Type says, as the booklet's server does:
// a plain `curl -d` sends a form type. Forms proper stay forms.
func (s *server) acceptBookletBodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/users/regist" {
			body := bufio.NewReader(r.Body)
			if start, _ := body.Peek(1); !isForm(r, start) {
				r.Header.Set("Content-Type", "application/json")
			}
			r.Body = readCloser{body, r.Body}
		}
		next.ServeHTTP(w, r)
	})
}

func isForm(r *http.Request, start []byte) bool {
	return r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" && !bytes.HasPrefix(start, []byte("{"))
}

type readCloser struct {
	*bufio.Reader
	closer interface{ Close() error }
}

func (r readCloser) Close() error { return r.closer.Close() }

// bookletUpload answers an upload with URLs only.
type bookletUpload struct{ urls []string }

func (b bookletUpload) VisitUploadImagesResponse(w http.ResponseWriter) error {
	var answer struct {
		Data struct {
			Msg struct {
				ImageURL []string `json:"imageUrl"`
			} `json:"msg"`
			Code int `json:"code"`
		} `json:"data"`
	}
	answer.Data.Msg.ImageURL = b.urls
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(answer)
}
