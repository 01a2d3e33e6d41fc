package main

import (
	"bytes"
	"context"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
)

// traffic is what wrk sends.
type traffic struct {
	url    string
	token  string   // of the caller; may be empty
	script string   // one of this folder's
	args   []string // of the script
}

func register(_ context.Context, s *server) (traffic, error) {
	return traffic{url: s.url("/users/regist"), script: "register.lua"}, nil
}

func login(_ context.Context, s *server) (traffic, error) {
	return traffic{url: s.url("/users/login"), script: "login.lua"}, nil
}

func me(_ context.Context, s *server) (traffic, error) {
	return get(s.url("/users/me"), s.token), nil
}

func get(url, token string) traffic {
	return traffic{url: url, token: token, script: "report.lua"}
}

func upload(_ context.Context, s *server) (traffic, error) {
	contentType, body, err := s.bench.form()
	if err != nil {
		return traffic{}, err
	}
	file := filepath.Join(s.dir, "form")
	return traffic{
		url: s.url("/"), token: s.token,
		script: "send.lua", args: []string{http.MethodPost, "/upload/file", contentType, file},
	}, os.WriteFile(file, body, 0o600)
}

// loadPicture uploads the picture that is then loaded.
func loadPicture(ctx context.Context, s *server) (traffic, error) {
	contentType, body, err := s.bench.form()
	if err != nil {
		return traffic{}, err
	}
	var answer struct {
		Data struct{ Msg struct{ ImageURL []string } }
	}
	if err := s.post(ctx, "/upload/file", contentType, bytes.NewReader(body), &answer); err != nil {
		return traffic{}, err
	}
	return get(answer.Data.Msg.ImageURL[0], ""), nil
}

// form is the picture as a browser sends it.
func (b *bench) form() (contentType string, body []byte, err error) {
	var buffer bytes.Buffer
	form := multipart.NewWriter(&buffer)
	part, err := form.CreateFormFile("image", pictureName)
	if err == nil {
		_, err = part.Write(b.picture)
	}
	if err == nil {
		err = form.Close()
	}
	return form.FormDataContentType(), buffer.Bytes(), err
}
