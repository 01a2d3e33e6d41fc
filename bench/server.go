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
	"runtime"
	"strconv"
	"time"

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
	return s.listen(ctx, address)
}

func (s *server) listen(ctx context.Context, address string) (err error) {
	s.process, err = startProcess(ctx, s.dir, address, s.bench.binary,
		"--addr", address, "--database", s.databaseURL, "--limits", "off") // as all clients have one address
	return err
}

// restart starts another process on the same data and address.
func (s *server) restart(ctx context.Context) error {
	ended := s.process
	s.process = nil // it is stopped only once
	if err := ended.stop(); err != nil {
		return err
	}
	return s.listen(ctx, ended.address)
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
	group.SetLimit(runtime.NumCPU()) // each costs a hash, and the server lets none wait for long
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
	response, content, err := s.send(ctx, http.MethodPost, s.url(path), contentType, body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: %s", path, response.Status, content)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(content, answer)
}

func (s *server) send(ctx context.Context, method, url, contentType string, body io.Reader) (*http.Response, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Authorization", "Bearer "+s.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return response, content, err
}

// persist sends a request again as often as the server is too busy for it, when it says.
func (s *server) persist(ctx context.Context, send func() (*http.Response, []byte, error)) ([]byte, error) {
	for {
		response, content, err := send()
		if err != nil || response.StatusCode == http.StatusOK {
			return content, err
		}
		seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
		if err != nil {
			return nil, fmt.Errorf("%s answered %s: %s", response.Request.URL, response.Status, content)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(seconds) * time.Second):
		}
	}
}

func (s *server) url(path string) string { return "http://" + s.address + path }
