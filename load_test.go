package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// loadClients is how many clients of each kind there are for each maker.
const loadClients = 3

// load is clients that go on until they are told to end.
type load struct {
	clients  sync.WaitGroup
	ended    atomic.Bool
	answered atomic.Int64
	bearer   []string
	image    string // a picture's URL
	pictures *crash // makes pictures

	mu     sync.Mutex
	failed map[string]string // request ids, and what went wrong
}

// newLoad begins with clients of each kind, which speak as their makers say.
func newLoad(t *testing.T, makers map[string]func() *client) *load {
	t.Helper()
	l := &load{pictures: &crash{jpeg: jpegPicture(t)}, failed: make(map[string]string)}
	var app *client
	for _, newClient := range makers {
		app = newClient()
	}
	l.bearer = []string{"Authorization", "Bearer " + registerAndLogIn(t, app)}
	l.image = messageOf[uploaded](t, app.upload([]file{{"a.png", pngPicture(t)}}, l.bearer...)).ImageURL[0]
	for kind, send := range map[string]func(*client, string) (answer, error){"load": l.loadPicture, "register": l.register, "upload": l.upload} {
		for i := range loadClients {
			for version, newClient := range makers {
				l.clients.Go(func() { l.run(newClient(), fmt.Sprintf("%s-%s-%d", kind, version, i), send) })
			}
		}
	}
	t.Cleanup(l.end)
	return l
}

func (l *load) run(app *client, name string, send func(*client, string) (answer, error)) {
	for i := 0; !l.ended.Load(); i++ {
		id := fmt.Sprintf("%s-%d", name, i)
		got, err := send(app, id)
		switch {
		case err != nil:
			l.fail(id, err.Error())
		case got.status != http.StatusOK:
			l.fail(id, fmt.Sprintf("status %d: %s", got.status, got.body))
		default:
			l.answered.Add(1)
		}
	}
}

func (l *load) fail(id, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed[id] = what
}

func (l *load) loadPicture(app *client, id string) (answer, error) {
	return app.try(http.MethodGet, l.image, nil, "X-Request-ID", id)
}

var lastPhone atomic.Int64

// register registers a new phone: if the request were sent to two servers, it would be refused as one that is registered.
func (l *load) register(app *client, id string) (answer, error) {
	body := jsonObject("phone", fmt.Sprintf("139%08d", lastPhone.Add(1)), "password", "demo123456", "code", "123456")
	return app.try(http.MethodPost, "/users/regist", strings.NewReader(body), "Content-Type", "application/json", "X-Request-ID", id)
}

func (l *load) upload(app *client, id string) (answer, error) {
	contentType, body := form(app.t, "image", []file{{"a.jpg", l.pictures.picture(id)}})
	return app.try(http.MethodPost, "/upload/file", body, append(l.bearer, "Content-Type", contentType, "X-Request-ID", id)...)
}

// awaitMore waits until so many requests more have been answered.
func (l *load) awaitMore(t *testing.T, count int64) {
	t.Helper()
	want := l.answered.Load() + count
	eventually(t, "requests are answered", func() bool { return l.answered.Load() >= want })
}

func (l *load) end() {
	l.ended.Store(true)
	l.clients.Wait()
}

const longestRest = 6 * time.Second // a little more than connections may be idle

// addResting adds clients that register a phone, rest, and register the next one.
func (l *load) addResting(newClient func() *client) {
	for i := range 4 * loadClients {
		l.clients.Go(func() {
			l.run(newClient(), fmt.Sprintf("resting-%d", i), func(app *client, id string) (answer, error) {
				for end := time.Now().Add(rand.N(longestRest)); !l.ended.Load() && time.Now().Before(end); {
					time.Sleep(50 * time.Millisecond)
				}
				return l.register(app, id)
			})
		})
	}
}
