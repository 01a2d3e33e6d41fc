package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"gatehouse/internal/dbtest"
)

// moderated is what its owner knows of a picture.
type moderated struct{ ID, URL, Status, Reason string }

type moderatedUpload struct{ Images []moderated }

// moderator is the operator's own: it collects the notices of the servers, and posts verdicts.
type moderator struct {
	t       *testing.T
	server  *httptest.Server
	signer  *standardwebhooks.Webhook
	mu      sync.Mutex
	away    bool
	notices []notice
}

type notice struct {
	Type string
	Data struct{ ID, OwnerID, URL, VerdictURL, ContentType, Name string }
}

var moderationSecret = "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("moderate", 4)))

func newModeratorServer(t *testing.T) *moderator {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(moderationSecret)
	if err != nil {
		t.Fatal(err)
	}
	m := &moderator{t: t, signer: signer}
	m.server = httptest.NewServer(m)
	t.Cleanup(m.server.Close)
	return m
}

func (m *moderator) args() []string {
	return []string{"--moderation", "webhook", "--moderation-endpoint", m.server.URL, "--moderation-secret", moderationSecret}
}

func (m *moderator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = m.signer.Verify(body, r.Header)
	}
	var told notice
	if err == nil {
		err = json.Unmarshal(body, &told)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil || m.away {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	m.notices = append(m.notices, told)
}

func (m *moderator) told() []notice {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.notices
}

// judge posts a verdict as the moderator signs it.
func (m *moderator) judge(app *client, path, verdict string, signer *standardwebhooks.Webhook, at time.Time) answer {
	m.t.Helper()
	signature, err := signer.Sign("msg_1", at, []byte(verdict))
	if err != nil {
		m.t.Fatal(err)
	}
	return app.do(http.MethodPost, path, bytes.NewReader([]byte(verdict)), "Content-Type", "application/json",
		"webhook-id", "msg_1", "webhook-timestamp", strconv.FormatInt(at.Unix(), 10), "webhook-signature", signature)
}

func pathOf(t *testing.T, address string) string {
	t.Helper()
	return mustParse(t, address).RequestURI()
}

// TestModeration plays a moderator who sees a picture before anybody else does, on two nodes.
func TestModeration(t *testing.T) {
	m := newModeratorServer(t)
	n := startNodes(t, dbtest.MySQL(t), append(m.args(), "--storage", "file://"+t.TempDir())...)
	a, b := n.clients(t)
	who := someone{userPhone}
	n.register(t, a, who)
	bearer := who.logIn(t, a).bearer()
	stored := messageOf[moderatedUpload](t, a.upload([]file{{"a.png", pngPicture(t)}, {"b.gif", gifPicture(t)}}, bearer...)).Images

	eventually(t, "the moderator is told of both pictures", func() bool { return len(m.told()) == 2 })
	for i, told := range m.told() {
		if told.Type != "image.held" || told.Data.OwnerID == "" || told.Data.ContentType == "" || told.Data.Name == "" {
			t.Errorf("notice %d is %+v", i, told)
		}
		if seen := b.get(pathOf(t, told.Data.URL)); seen.status != http.StatusOK {
			t.Errorf("the moderator loads picture %d: %d", i, seen.status)
		}
	}
	for _, image := range stored {
		if image.Status != "held" {
			t.Errorf("picture %s is %s, want held", image.ID, image.Status)
		}
		b.get(pathOf(t, image.URL)).wantError(t, http.StatusNotFound, 2005)
		if own := b.get(pathOf(t, image.URL), bearer...); own.status != http.StatusOK {
			t.Errorf("the owner loads a held picture: %d", own.status)
		}
	}

	verdict := func(i int) string { return "/upload/images/" + stored[i].ID + "/verdict" }
	stranger, err := standardwebhooks.NewWebhookRaw([]byte(strings.Repeat("x", 32)))
	if err != nil {
		t.Fatal(err)
	}
	m.judge(a, verdict(0), `{"id":"`+stored[0].ID+`","verdict":"release"}`, stranger, time.Now()).wantError(t, http.StatusUnauthorized, 9012)
	m.judge(a, verdict(0), `{"id":"`+stored[0].ID+`","verdict":"release"}`, m.signer, time.Now().Add(-time.Hour)).wantError(t, http.StatusUnauthorized, 9012)
	a.postJSON(verdict(0), `{"id":"`+stored[0].ID+`","verdict":"release"}`).wantError(t, http.StatusUnauthorized, 9012)
	b.get(pathOf(t, stored[0].URL)).wantError(t, http.StatusNotFound, 2005)

	messageOf[string](t, m.judge(a, verdict(0), `{"id":"`+stored[0].ID+`","verdict":"release"}`, m.signer, time.Now()))
	messageOf[string](t, m.judge(b, verdict(1), `{"id":"`+stored[1].ID+`","verdict":"refuse","reason":"含有广告"}`, m.signer, time.Now()))
	for _, app := range []*client{a, b} {
		eventually(t, "everybody loads the released picture", func() bool { return app.get(pathOf(t, stored[0].URL)).status == http.StatusOK })
		app.get(pathOf(t, stored[1].URL)).wantError(t, http.StatusNotFound, 2005)
		refused := messageOf[moderated](t, app.get("/upload/images/"+stored[1].ID, bearer...))
		if refused.Status != "withdrawn" || refused.Reason != "含有广告" {
			t.Errorf("the refused picture is %+v", refused)
		}
	}
	time.Sleep(3 * time.Second) // several looks for pictures to tell of
	if got := len(m.told()); got != 2 {
		t.Errorf("the moderator was told %d times of two pictures", got)
	}
}

// TestModeratorAway uploads while nobody takes notices: the picture is held back until somebody does.
func TestModeratorAway(t *testing.T) {
	m := newModeratorServer(t)
	m.away = true
	p := start(t, append([]string{"--data-dir", t.TempDir()}, m.args()...)...)
	app := newClient(t, p)
	bearer := []string{"Authorization", "Bearer " + registerAndLogIn(t, app)}
	stored := messageOf[moderatedUpload](t, app.upload([]file{{"a.png", pngPicture(t)}}, bearer...)).Images[0]
	time.Sleep(2 * time.Second)
	app.get(pathOf(t, stored.URL)).wantError(t, http.StatusNotFound, 2005)
	if described := messageOf[moderated](t, app.get("/upload/images/"+stored.ID, bearer...)); described.Status != "held" {
		t.Errorf("the picture is %s, want held", described.Status)
	}
}
