package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/webhook"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// sign is the signature of the specification, made without the library that the package uses.
func sign(t *testing.T, id, timestamp, body string) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// TestSign proves this test's signatures right with the example of the reference implementations.
func TestSign(t *testing.T) {
	got := sign(t, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", `{"test": 2432232314}`)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("signed %s, want %s", got, want)
	}
}

// receiver answers with one status after the other, the last for ever, and keeps the ids that it got.
type receiver struct {
	statuses []int
	mu       sync.Mutex
	ids      []string
}

func (r *receiver) start(t *testing.T) *webhook.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Errorf("read the event: %v", err)
		}
		id, timestamp := request.Header.Get("webhook-id"), request.Header.Get("webhook-timestamp")
		if got, want := request.Header.Get("webhook-signature"), sign(t, id, timestamp, string(body)); got != want {
			t.Errorf("signature %s, want %s", got, want)
		}
		seconds, err := strconv.ParseInt(timestamp, 10, 64)
		if err != nil || math.Abs(time.Since(time.Unix(seconds, 0)).Minutes()) > 5 {
			t.Errorf("timestamp %q is not of now", timestamp)
		}
		if string(body) != `{"a":1}` || request.Method != http.MethodPost || request.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s of %s: %s", request.Method, request.Header.Get("Content-Type"), body)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		status := r.statuses[min(len(r.ids), len(r.statuses)-1)]
		r.ids = append(r.ids, id)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		io.WriteString(w, "said")
	}))
	t.Cleanup(server.Close)
	client, err := webhook.New(webhook.Options{URL: server.URL, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

var event = map[string]int{"a": 1}

func TestPost(t *testing.T) {
	tests := []struct {
		name       string
		statuses   []int
		wantStatus int
		wantTries  int
	}{
		{"taken", []int{204}, 204, 1},
		{"taken after two failures", []int{500, 502, 200}, 200, 3},
		{"taken after a limit", []int{429, 200}, 200, 2},
		{"refused", []int{422}, 422, 1},
		{"not found", []int{404}, 404, 1},
		{"redirected", []int{307}, 307, 1},
		{"broken for good", []int{503}, 503, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &receiver{statuses: tt.statuses}
			answer, err := r.start(t).Post(t.Context(), event)
			if err != nil {
				t.Fatal(err)
			}
			if answer.Status != tt.wantStatus || answer.OK() != (tt.wantStatus < 300) {
				t.Errorf("answer %d, OK %v; want %d", answer.Status, answer.OK(), tt.wantStatus)
			}
			if len(r.ids) != tt.wantTries {
				t.Errorf("%d tries, want %d", len(r.ids), tt.wantTries)
			}
			for _, id := range r.ids {
				if id == "" || id != r.ids[0] {
					t.Errorf("the tries had the ids %q, want one", r.ids)
				}
			}
		})
	}
}

func TestPostsHaveTheirOwnIDs(t *testing.T) {
	r := &receiver{statuses: []int{200}}
	client := r.start(t)
	for range 2 {
		if _, err := client.Post(t.Context(), event); err != nil {
			t.Fatal(err)
		}
	}
	if r.ids[0] == r.ids[1] {
		t.Errorf("two events had the id %s", r.ids[0])
	}
}

func TestPostGivesUp(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })

	const token = "s3cret-path"
	client, err := webhook.New(webhook.Options{URL: server.URL + "/" + token, Secret: secret, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Post(t.Context(), event)
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), token) {
		t.Errorf("got %v, want the deadline without the URL", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Post(cancelled, event); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context was cancelled", err)
	}
}

func TestPostToNobody(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	client, err := webhook.New(webhook.Options{URL: server.URL + "/s3cret-path", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Post(t.Context(), event); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want an error without the URL", err)
	}
}

func TestAnswerIsBounded(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write(make([]byte, 1<<20))
	}))
	t.Cleanup(server.Close)
	client, err := webhook.New(webhook.Options{URL: server.URL, Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Post(t.Context(), event)
	if err != nil || len(answer.Body) != 64<<10 {
		t.Errorf("read %d bytes of the answer (%v), want 64 KiB", len(answer.Body), err)
	}
}

func TestNewNamesWhatToMend(t *testing.T) {
	tests := []struct {
		name    string
		options webhook.Options
		want    string
	}{
		{"no URL", webhook.Options{Secret: secret}, "URL"},
		{"no host", webhook.Options{URL: "https:///path", Secret: secret}, "URL"},
		{"other scheme", webhook.Options{URL: "ftp://example.com", Secret: secret}, "URL"},
		{"no secret", webhook.Options{URL: "https://example.com"}, "secret"},
		{"short secret", webhook.Options{URL: "https://example.com", Secret: "whsec_c2hvcnQ="}, "secret"},
		{"no base64", webhook.Options{URL: "https://example.com", Secret: "whsec_hunter2-hunter2-hunter2-hunter2"}, "secret"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := webhook.New(tt.options)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want an error about the %s", err, tt.want)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	const id, body = "msg_5f1c7a0e", `{"verdict":"release"}`
	client, err := webhook.New(webhook.Options{URL: "https://example.com/", Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	ago := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(-d).Unix(), 10) }
	now := ago(0)
	tests := []struct {
		name, timestamp, signature, body string
		wantErr                          bool
	}{
		{"right", now, sign(t, id, now, body), body, false},
		{"four minutes ago", ago(4 * time.Minute), sign(t, id, ago(4*time.Minute), body), body, false},
		{"one of several", now, sign(t, id, now, "x") + " " + sign(t, id, now, body), body, false},
		{"another body", now, sign(t, id, now, body), body + " ", true},
		{"another id", now, sign(t, "msg_other", now, body), body, true},
		{"another time", now, sign(t, id, ago(time.Second), body), body, true},
		{"six minutes ago", ago(6 * time.Minute), sign(t, id, ago(6*time.Minute), body), body, true},
		{"in six minutes", ago(-6 * time.Minute), sign(t, id, ago(-6*time.Minute), body), body, true},
		{"no time", "", sign(t, id, "", body), body, true},
		{"time of another kind", "now", sign(t, id, "now", body), body, true},
		{"no signature", now, "", body, true},
		{"signature of another kind", now, strings.Replace(sign(t, id, now, body), "v1,", "v2,", 1), body, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{}
			header.Set("webhook-id", id)
			header.Set("webhook-timestamp", test.timestamp)
			header.Set("webhook-signature", test.signature)
			if err := client.Verify(header, []byte(test.body)); (err != nil) != test.wantErr {
				t.Errorf("error is %v, want one %t", err, test.wantErr)
			}
		})
	}
	if err := client.Verify(http.Header{}, []byte(body)); err == nil {
		t.Error("no header at all is taken")
	}
}
