package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"

	"golang.org/x/sync/errgroup"
)

const (
	users       = 16 // who log in by turns
	phoneFormat = "139%08d"
	password    = "correct horse battery"
	code        = "123456" // which development mode takes from everyone
)

// server is a Gatehouse on a database of its own, with nothing in it but a few users.
type server struct {
	bench *bench
	*process
	dir          string
	databaseURL  string
	dropDatabase func() error
	token        string // of one of the users
}

// measurement measures a fresh server.
type measurement func(ctx context.Context, s *server) (float64, error)

// measureServer measures a server that is there for nothing else.
func (b *bench) measureServer(ctx context.Context, database string, measure measurement) (figure float64, err error) {
	s := &server{bench: b, dropDatabase: func() error { return nil }}
	defer func() { err = errors.Join(err, s.remove()) }()
	if err := s.start(ctx, database); err != nil {
		return 0, err
	}
	if err := s.registerUsers(ctx); err != nil {
		return 0, err
	}
	return measure(ctx, s)
}

func (s *server) start(ctx context.Context, database string) (err error) {
	if s.dir, err = os.MkdirTemp(s.bench.dir, "server-"); err != nil {
		return err
	}
	if database == mysql {
		var name string
		if name, s.dropDatabase, err = s.bench.mysql.create(ctx); err != nil {
			return err
		}
		s.databaseURL = s.bench.mysql.url.JoinPath(name).String()
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	s.process, err = startProcess(ctx, s.dir, address, s.bench.binary,
		"--addr", address, "--database", s.databaseURL, "--limits", "off") // as all clients have one address
	return err
}

func (s *server) remove() error {
	var err error
	if s.process != nil {
		err = s.stop()
	}
	return errors.Join(err, s.dropDatabase(), os.RemoveAll(s.dir))
}

// registerUsers registers the phones with the first numbers, and logs in one more, whose session no flood of
// logins ends: a user has a bounded number of them.
func (s *server) registerUsers(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for i := range users + 1 {
		group.Go(func() error {
			return s.postJSON(groupCtx, "/users/regist", credentials{Phone: phone(i), Password: password, Code: code}, nil)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	opened, err := s.login(ctx, credentials{Phone: phone(users), Password: password})
	s.token = opened.AccessToken
	return err
}

type credentials struct {
	Phone    string `json:"phone"`
	Password string `json:"password,omitempty"`
	Code     string `json:"code,omitempty"`
}

func phone(i int) string { return fmt.Sprintf(phoneFormat, i) }

// tokens are those of one session.
type tokens struct{ AccessToken, RefreshToken string }

func (s *server) login(ctx context.Context, c credentials) (tokens, error) {
	var answer struct {
		Data struct{ Msg tokens }
	}
	err := s.postJSON(ctx, "/users/login", c, &answer)
	return answer.Data.Msg, err
}

func (s *server) postJSON(ctx context.Context, path string, body, answer any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return s.post(ctx, path, "application/json", bytes.NewReader(content), answer)
}

// post sends a body and decodes what is answered, unless answer is nil. All but 200 is an error.
func (s *server) post(ctx context.Context, path, contentType string, body io.Reader, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url(path), body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Authorization", "Bearer "+s.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("%s answered %s: %s", path, response.Status, content), err)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(content, answer)
}

func (s *server) url(path string) string { return "http://" + s.address + path }
