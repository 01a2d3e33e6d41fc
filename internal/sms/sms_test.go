package sms_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/sms"
)

const (
	phone = "+8618866668888"
	code  = "271828"
	// key is every provider's secret in these tests, and one that Twilio's SDK takes.
	key = "Gu5t9xGARNpq86cd98joQYCN3"
)

var message = sms.Message{Phone: phone, Code: code, Purpose: "login", Lifetime: 5 * time.Minute}

// answer starts a server that answers each request in one way.
func answer(t *testing.T, status int, body string) string {
	t.Helper()
	return start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
}

func start(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// checkSilent fails if an error says what nobody else may read.
func checkSilent(t *testing.T, err error) {
	t.Helper()
	for _, secret := range []string{"18866668888", code, key} {
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds %s: %v", secret, err)
		}
	}
}

// checkKind fails unless an error is of one kind; nil stands for an error about the provider.
func checkKind(t *testing.T, err, want error) {
	t.Helper()
	checkSilent(t, err)
	if err == nil {
		t.Fatal("got no error")
	}
	for _, kind := range []error{sms.ErrPhone, sms.ErrLimited} {
		if errors.Is(err, kind) != (kind == want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

// refusals is what a test of one provider wants of its documented codes.
type refusals struct {
	phone, limited, other []string
}

// test sends a message for each code; answer writes what the provider says.
func (r refusals) test(t *testing.T, send func(t *testing.T, code string) error) {
	t.Helper()
	for want, codes := range map[error][]string{sms.ErrPhone: r.phone, sms.ErrLimited: r.limited, errors.New("other"): r.other} {
		for _, code := range codes {
			t.Run(code, func(t *testing.T) {
				err := send(t, code)
				checkKind(t, err, want)
				if err != nil && (!strings.Contains(err.Error(), code) || !strings.Contains(err.Error(), "request-17")) {
					t.Errorf("got %v, want it to name the code and the request", err)
				}
			})
		}
	}
}

// testTrouble lets a provider's endpoint fail in every way that is not an answer of its API.
func testTrouble(t *testing.T, sender func(t *testing.T, endpoint string) sms.Sender) {
	t.Helper()
	answers := []struct {
		name   string
		status int
		body   string
	}{
		{"empty", 200, ""},
		{"not JSON", 200, "<html>" + phone + code},
		{"JSON of something else", 200, `{"phone":"` + phone + `"}`},
		{"JSON of another type", 200, `["` + phone + `"]`},
		{"server error", 500, "boom " + phone},
		{"server error in JSON", 503, `{"message":"` + phone + `"}`},
		{"forbidden", 403, "no"},
		{"too large", 200, strings.Repeat(" ", 1<<20) + "{}"},
	}
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			checkKind(t, sender(t, answer(t, tt.status, tt.body)).Send(t.Context(), message), nil)
		})
	}
	t.Run("redirect", func(t *testing.T) {
		elsewhere := start(t, func(http.ResponseWriter, *http.Request) { t.Error("the message went elsewhere") })
		endpoint := start(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
		checkKind(t, sender(t, endpoint).Send(t.Context(), message), nil)
	})
	t.Run("nobody there", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		err := sender(t, server.URL).Send(t.Context(), message)
		checkKind(t, err, nil)
		if !strings.Contains(err.Error(), "refused") {
			t.Errorf("got %v, want it to say that the connection was refused", err)
		}
	})
	t.Run("hanging", func(t *testing.T) {
		release := make(chan struct{})
		endpoint := start(t, func(http.ResponseWriter, *http.Request) { <-release })
		t.Cleanup(func() { close(release) })
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := sender(t, endpoint).Send(ctx, message)
		checkKind(t, err, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
	})
}

// testConcurrent sends many messages at once through one sender.
func testConcurrent(t *testing.T, sender sms.Sender) {
	t.Helper()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := sender.Send(t.Context(), message); err != nil {
				t.Errorf("send: %v", err)
			}
		})
	}
	wg.Wait()
}

// checkOptions wants an error that names an option and no secret.
func checkOptions(t *testing.T, err error, want string) {
	t.Helper()
	checkSilent(t, err)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want an error about %s", err, want)
	}
}

func TestLogShowsTheCode(t *testing.T) {
	var log bytes.Buffer
	sender := sms.NewLog(slog.New(slog.NewJSONHandler(&log, nil)))
	if err := sender.Send(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"phone":"` + phone + `"`, `"verification":"` + code + `"`, `"purpose":"login"`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log has no %s: %s", want, log.String())
		}
	}
}
