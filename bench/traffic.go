package main

import (
	"bytes"
	"context"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// traffic is what wrk sends.
type traffic struct {
	url    string
	token  string   // of the caller; may be empty
	script string   // one of this folder's
	args   []string // of the script
}

func register(_ context.Context, s *server) (traffic, error) {
	newcomer := credentials{Phone: "138%08d", Password: password, Code: code}
	return fromPhones(s.url("/users/regist"), newcomer, 100_000_000)
}

func login(_ context.Context, s *server) (traffic, error) {
	return fromPhones(s.url("/users/login"), credentials{Phone: phoneFormat, Password: password}, users)
}

func loginByCode(_ context.Context, s *server) (traffic, error) {
	return fromPhones(s.url("/users/login"), credentials{Phone: phoneFormat, Code: code}, users)
}

// fromPhones is what phones send by turns: the credentials, with the number of each in its place.
func fromPhones(url string, c credentials, phones int) (traffic, error) {
	body, err := json.Marshal(c)
	return traffic{url: url, script: "phones.lua", args: []string{string(body), strconv.Itoa(phones)}}, err
}

// refresh begins with two sessions for each connection.
func refresh(ctx context.Context, s *server) (traffic, error) {
	var tokens []string
	for i := range 2 * connections {
		opened, err := s.login(ctx, credentials{Phone: phone(i % users), Code: code})
		if err != nil {
			return traffic{}, err
		}
		tokens = append(tokens, opened.RefreshToken)
	}
	return traffic{url: s.url("/users/token/refresh"), script: "refresh.lua", args: tokens}, nil
}

func me(_ context.Context, s *server) (traffic, error) {
	return get(s.url("/users/me"), s.token), nil
}

func get(url, token string) traffic {
	return traffic{url: url, token: token, script: "report.lua"}
}

// upload is the traffic of uploads of different pictures.
func upload(_ context.Context, s *server) (traffic, error) {
	return s.uploads(numbered(s.bench.picture, 0))
}

// uploadAgain is the traffic of uploads of the same picture.
func uploadAgain(_ context.Context, s *server) (traffic, error) {
	return s.uploads(s.bench.picture)
}

func (s *server) uploads(picture []byte) (traffic, error) {
	contentType, body, err := form(picture)
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
	url, err := s.uploadPicture(ctx, "/upload/file", s.bench.picture)
	return get(url, ""), err
}

// uploadPicture returns the URL of the picture.
func (s *server) uploadPicture(ctx context.Context, path string, picture []byte) (string, error) {
	contentType, body, err := form(picture)
	if err != nil {
		return "", err
	}
	var answer struct {
		Data struct{ Msg struct{ ImageURL []string } }
	}
	if err := s.post(ctx, path, contentType, bytes.NewReader(body), &answer); err != nil {
		return "", err
	}
	return answer.Data.Msg.ImageURL[0], nil
}

// form is a picture as a browser sends it.
func form(picture []byte) (contentType string, body []byte, err error) {
	var buffer bytes.Buffer
	writer := multipart.NewWriter(&buffer)
	part, err := writer.CreateFormFile("image", pictureName)
	if err == nil {
		_, err = part.Write(picture)
	}
	if err == nil {
		err = writer.Close()
	}
	return writer.FormDataContentType(), buffer.Bytes(), err
}
