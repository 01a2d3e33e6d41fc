package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/internal/dbtest"
)

// nodes are two servers on one database, with one secret, behind a trusted proxy. Each has a data folder of
// its own, as on two machines.
type nodes struct {
	args []string // of every node
	sms  *smsReceiver
	a, b *process
}

// startNodes starts two nodes at the same instant, on a database that has no tables yet.
func startNodes(t *testing.T, databaseURL string, args ...string) *nodes {
	t.Helper()
	n := &nodes{sms: newSMSReceiver(t)}
	n.args = slices.Concat(productionArgs(t), n.sms.args(), []string{
		"--database", databaseURL, "--log-level", "warn,server=info",
		"--password-memory", "64", "--password-iterations", "1", // quick
	}, args)
	n.a, n.b = n.launch(t), n.launch(t)
	n.a.awaitBanner(t)
	n.b.awaitBanner(t)
	return n
}

// launch starts a node, which must log no error until the test ends.
func (n *nodes) launch(t *testing.T) (p *process) {
	t.Helper()
	t.Cleanup(func() { // after it was killed
		if p != nil && strings.Contains(p.stderr.String(), " ERROR ") {
			t.Errorf("the node logged errors:\n%s", p.stderr.String())
		}
	})
	return launch(t, slices.Concat(n.args, []string{"--addr", "127.0.0.1:0", "--data-dir", t.TempDir()})...)
}

// clients returns a client of each node.
func (n *nodes) clients(t *testing.T) (a, b *client) {
	t.Helper()
	return newPublicClient(t, n.a), newPublicClient(t, n.b)
}

// inParallel sends many requests at once, to both nodes in turn.
func (n *nodes) inParallel(t *testing.T, requests int, send func(app *client, i int) answer) []answer {
	t.Helper()
	a, b := n.clients(t)
	answers := make([]answer, requests)
	var all sync.WaitGroup
	for i := range requests {
		all.Go(func() { answers[i] = send([]*client{a, b}[i%2], i) })
	}
	all.Wait()
	return answers
}

// codesOf counts the codes of answers.
func codesOf(answers []answer) map[int]int {
	counts := make(map[int]int)
	for _, answer := range answers {
		counts[answer.code()]++
	}
	return counts
}

// withAndWithoutRedis runs a test once for each way in which two nodes may share what they know.
func withAndWithoutRedis(t *testing.T, test func(t *testing.T, args ...string)) {
	t.Helper()
	t.Run("database alone", func(t *testing.T) { test(t) })
	t.Run("with redis", func(t *testing.T) { test(t, "--redis", dbtest.NewRedis(t).URL) })
}

// smsReceiver receives the codes of the nodes, as the operator's own sender of --sms webhook.
type smsReceiver struct {
	server *httptest.Server
	mu     sync.Mutex
	codes  map[string][]string // by phone in E.164 and purpose, in the order of sending
}

func newSMSReceiver(t *testing.T) *smsReceiver {
	t.Helper()
	r := &smsReceiver{codes: make(map[string][]string)}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *smsReceiver) args() []string {
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("sms-", 8)))
	return []string{"--sms", "webhook", "--sms-endpoint", r.server.URL, "--sms-key-secret", secret}
}

func (r *smsReceiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var message struct{ Phone, Code, Purpose string }
	if err := json.NewDecoder(request.Body).Decode(&message); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	name := message.Phone + " " + message.Purpose
	r.codes[name] = append(r.codes[name], message.Code)
}

// received is how many messages have arrived.
func (r *smsReceiver) received() (messages int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, codes := range r.codes {
		messages += len(codes)
	}
	return messages
}

// ask lets a phone in mainland China be sent a code, and returns it.
func (r *smsReceiver) ask(t *testing.T, app *client, who someone, purpose string) string {
	t.Helper()
	if sent := app.postJSON("/users/code", who.form("purpose", purpose)); sent.status != http.StatusOK {
		t.Fatalf("ask for a code: %d %s", sent.status, sent.body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	codes := r.codes["+86"+who.phone+" "+purpose]
	if len(codes) == 0 {
		t.Fatalf("no %s code was sent to %s", purpose, who.phone)
	}
	return codes[len(codes)-1]
}

// tokens are what a login and a refresh give.
type tokens struct{ AccessToken, RefreshToken string }

func (k tokens) bearer() []string { return []string{"Authorization", "Bearer " + k.AccessToken} }

// use does what needs a session and nothing else: no read of the user stands in for what is known of the session.
func (k tokens) use(app *client) answer {
	app.t.Helper()
	return app.do(http.MethodPost, "/h5/ticket", nil, k.bearer()...)
}

// refresh asks for the next tokens.
func (k tokens) refresh(app *client, headers ...string) answer {
	app.t.Helper()
	return app.postJSON("/users/token/refresh", jsonObject("refreshToken", k.RefreshToken), headers...)
}

func refresh(t *testing.T, app *client, k tokens) tokens {
	t.Helper()
	return messageOf[tokens](t, k.refresh(app))
}

// someone is a user with the password demo123456.
type someone struct{ phone string }

func (n *nodes) register(t *testing.T, app *client, who someone) {
	t.Helper()
	code := n.sms.ask(t, app, who, "register")
	messageOf[string](t, app.postJSON("/users/regist", who.form("password", "demo123456", "code", code)))
}

func (s someone) logIn(t *testing.T, app *client) tokens {
	t.Helper()
	return messageOf[tokens](t, app.postJSON("/users/login", s.form("password", "demo123456")))
}

// form is a request's body: the phone, and members as name, value, ….
func (s someone) form(members ...string) string {
	return jsonObject(append([]string{"phone", s.phone}, members...)...)
}

func jsonObject(members ...string) string {
	object := make(map[string]string, len(members)/2)
	for i := 0; i < len(members); i += 2 {
		object[members[i]] = members[i+1]
	}
	text, _ := json.Marshal(object) // strings can always be written
	return string(text)
}

// code is the error code of an answer, or -1 if it bears none.
func (a answer) code() int {
	var envelope struct{ Data struct{ Code *int } }
	if json.Unmarshal([]byte(a.body), &envelope) != nil || envelope.Data.Code == nil {
		return -1
	}
	return *envelope.Data.Code
}

func wantAccepted(t *testing.T, app *client, accepted ...tokens) {
	t.Helper()
	for _, k := range accepted {
		if used := k.use(app); used.status != http.StatusOK {
			t.Fatalf("a session that goes on: %d %s", used.status, used.body)
		}
	}
}

// wantRefusedWithinASecond asks until a session is refused that ended at a time. Who asks a second later or more
// is refused, however busy this machine is: what counts is when a request was sent, not when it was answered.
func wantRefusedWithinASecond(t *testing.T, app *client, ended tokens, at time.Time) {
	t.Helper()
	for {
		sent := time.Since(at)
		if used := ended.use(app); used.status != http.StatusOK {
			used.wantError(t, http.StatusUnauthorized, 1006)
			return
		}
		if sent >= time.Second {
			t.Errorf("a session is accepted %s after its end", sent)
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// TestNodesShareKeys starts two nodes on a new database at once: they agree on the key that signs.
func TestNodesShareKeys(t *testing.T) {
	n := startNodes(t, dbtest.MySQL(t))
	a, b := n.clients(t)
	keysA, keysB := a.get("/.well-known/jwks.json"), b.get("/.well-known/jwks.json")
	if keysA.status != http.StatusOK || keysA.body != keysB.body || !strings.Contains(keysA.body, `"kid"`) {
		t.Errorf("keys of A: %d %s\nkeys of B: %d %s", keysA.status, keysA.body, keysB.status, keysB.body)
	}
	who := someone{userPhone}
	n.register(t, a, who)
	wantAccepted(t, b, who.logIn(t, a))
	wantAccepted(t, a, who.logIn(t, b))
}
