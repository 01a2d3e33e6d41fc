package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/uuid"

	"gatehouse/internal/apperr"
)

func init() {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.PlainBodyDecoder)
	for _, binary := range []string{"image/jpeg", "image/png", "image/gif", "image/webp", "multipart/byteranges", "application/zip"} {
		openapi3filter.RegisterBodyDecoder(binary, openapi3filter.FileBodyDecoder)
	}
	openapi3.DefineStringFormatValidator("uuid", openapi3.NewCallbackValidator(uuid.Validate))
	openapi3.DefineStringFormatValidator("uri", openapi3.NewCallbackValidator(func(text string) error {
		u, err := url.Parse(text)
		if err == nil && (u.Scheme == "" || u.Host == "") {
			err = fmt.Errorf("%q is no absolute URL", text)
		}
		return err
	}))
}

// answer is what a client got, found to be within the contract.
type answer struct {
	status int
	header http.Header
	body   []byte
	code   apperr.Code // OK where the body is no error's
	errors struct {
		Msg     string
		Details []struct{ Field, Reason string }
	}
}

func (a answer) isPage() bool {
	return strings.HasPrefix(a.header.Get("Content-Type"), "text/html")
}

// want checks the code of an answer, and with it the status.
func (a answer) want(t testing.TB, code apperr.Code) answer {
	t.Helper()
	if a.code != code || a.status != code.Status() {
		t.Errorf("answer is %d with code %d, want %d with code %d:\n%s", a.status, a.code, code.Status(), code, a.body)
	}
	return a
}

// wantStatus checks an answer that has no code.
func (a answer) wantStatus(t testing.TB, status int) answer {
	t.Helper()
	if a.status != status {
		t.Errorf("answer is %d, want %d:\n%s", a.status, status, a.body)
	}
	return a
}

func (a answer) wantHeader(t testing.TB, key, value string) answer {
	t.Helper()
	if got := a.header.Get(key); got != value {
		t.Errorf("header %s is %q, want %q", key, got, value)
	}
	return a
}

func (a answer) wantText(t testing.TB, text string) answer {
	t.Helper()
	if !bytes.Contains(a.body, []byte(text)) {
		t.Errorf("the body does not contain %q:\n%s", text, a.body)
	}
	return a
}

// wantRedirect checks a redirection within the pages.
func (a answer) wantRedirect(t testing.TB, path string) answer {
	t.Helper()
	return a.wantStatus(t, http.StatusSeeOther).wantHeader(t, "Location", path)
}

// sessionCookie returns the value of the cookie that the answer sets, or nothing.
func (a answer) sessionCookie() string {
	for _, cookie := range (&http.Response{Header: a.header}).Cookies() {
		if cookie.Name == sessionCookie {
			return cookie.Value
		}
	}
	return ""
}

// decoded reads the body of a success.
func decoded[T any](t testing.TB, a answer) T {
	t.Helper()
	var value T
	a.want(t, apperr.OK)
	if err := json.Unmarshal(a.body, &value); err != nil {
		t.Fatalf("read %s: %v", a.body, err)
	}
	return value
}

// change is a part of a request that not every request has.
type change func(*http.Request)

func with(key, value string) change { return func(r *http.Request) { r.Header.Set(key, value) } }
func bearer(token string) change    { return with("Authorization", "Bearer "+token) }
func cookie(value string) change    { return with("Cookie", sessionCookie+"="+value) }
func query(query string) change     { return func(r *http.Request) { r.URL.RawQuery = query } }
func host(name string) change       { return func(r *http.Request) { r.Host = name } }

// browser makes the request of a program one of a browser.
var browser = with("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")

func newRequest(method, path, contentType string, body io.Reader, changes ...change) *http.Request {
	r, err := http.NewRequest(method, path, body)
	if err != nil {
		panic(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

func get(path string, changes ...change) *http.Request {
	return newRequest(http.MethodGet, path, "", nil, changes...)
}

func head(path string, changes ...change) *http.Request {
	return newRequest(http.MethodHead, path, "", nil, changes...)
}

func del(path string, changes ...change) *http.Request {
	return newRequest(http.MethodDelete, path, "", nil, changes...)
}

func patch(path string, members map[string]any, changes ...change) *http.Request {
	r := postJSON(path, members, changes...)
	r.Method = http.MethodPatch
	return r
}

func post(path, contentType, body string, changes ...change) *http.Request {
	return newRequest(http.MethodPost, path, contentType, strings.NewReader(body), changes...)
}

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
)

func postJSON(path string, members map[string]any, changes ...change) *http.Request {
	body, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	return post(path, jsonType, string(body), changes...)
}

// postForm takes keys and values by turns.
func postForm(path string, pairs []string, changes ...change) *http.Request {
	form := url.Values{}
	for pair := range slices.Chunk(pairs, 2) {
		form.Add(pair[0], pair[1])
	}
	return post(path, formType, form.Encode(), changes...)
}

// file is a part of an upload.
type file struct {
	name    string
	content []byte
}

// uploadOf sends files in the field image.
func uploadOf(files []file, changes ...change) *http.Request {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, f := range files {
		part, err := form.CreatePart(textproto.MIMEHeader{
			"Content-Disposition": {multipart.FileContentDisposition(imageField, f.name)},
			"Content-Type":        {"application/octet-stream"},
		})
		if err == nil {
			_, err = part.Write(f.content)
		}
		if err != nil {
			panic(err)
		}
	}
	if err := form.Close(); err != nil {
		panic(err)
	}
	return post("/upload/file", form.FormDataContentType(), body.String(), changes...)
}

// send returns the answer to a request, which the contract must allow.
func (s *testServer) send(t testing.TB, r *http.Request) answer {
	t.Helper()
	a := s.sendUnchecked(t, r)
	checkEverywhere(t, a)
	spec := operationOf(r)
	if spec == nil || a.code == apperr.NotLocal {
		checkOutsideContract(t, a)
		return a
	}
	if codes := codesWithStatus(spec, a.status); r.Method == http.MethodHead && len(codes) > 0 {
		a.code = codes[0]
	}
	if checkAgainst(t, spec, r, a) {
		observed.note(spec, a)
	}
	return a
}

// sendUnchecked is for answers that are not of the contract: those of booklet mode.
func (s *testServer) sendUnchecked(t testing.TB, r *http.Request) answer {
	t.Helper()
	r = r.WithContext(t.Context())
	base := s.base
	r.URL.Scheme, r.URL.Host = base.Scheme, base.Host
	response, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, header: response.Header}
	if a.body, err = io.ReadAll(response.Body); err != nil {
		t.Fatalf("read the answer to %s %s: %v", r.Method, r.URL.Path, err)
	}
	a.readEnvelope()
	s.logs.learn(a)
	return a
}

// readEnvelope finds the code of an error, where the body has one.
func (a *answer) readEnvelope() {
	var envelope struct {
		Data struct {
			Msg     json.RawMessage
			Code    apperr.Code
			Details []struct{ Field, Reason string }
		}
	}
	if a.header.Get("Content-Type") != jsonType || json.Unmarshal(a.body, &envelope) != nil {
		return
	}
	a.code, a.errors.Details = envelope.Data.Code, envelope.Data.Details
	if a.code != apperr.OK {
		_ = json.Unmarshal(envelope.Data.Msg, &a.errors.Msg) // left empty, it fails the check of the text
	}
}

// checkEverywhere checks what the contract says of all answers.
func checkEverywhere(t testing.TB, a answer) {
	t.Helper()
	if id := a.header.Get("X-Request-ID"); !wellFormedRequestID.MatchString(id) {
		t.Errorf("X-Request-ID is %q", id)
	}
	a.wantHeader(t, "X-Content-Type-Options", "nosniff")
	if a.code == apperr.OK {
		return
	}
	a.want(t, a.code) // the status tells the truth
	if text := a.code.Text(); a.errors.Msg != text.Chinese && a.errors.Msg != text.English {
		t.Errorf("code %d says %q", a.code, a.errors.Msg)
	}
	if bytes.Contains(a.body, []byte(marker)) {
		t.Errorf("the error repeats what was sent: %s", a.body)
	}
	needs := map[apperr.Code]string{
		apperr.NotLoggedIn: "WWW-Authenticate", apperr.ServerBusy: "Retry-After", apperr.MethodNotAllowed: "Allow",
		apperr.TooManyRequests: "Retry-After", apperr.CodeTooSoon: "Retry-After", apperr.TooManyCodes: "Retry-After",
		apperr.TooManyFailures: "Retry-After", apperr.SendingFailed: "Retry-After", apperr.StorageUnavailable: "Retry-After",
	}
	if header := needs[a.code]; header != "" && a.header.Get(header) == "" {
		t.Errorf("an answer with code %d has no header %s", a.code, header)
	}
}

// checkOutsideContract allows an error's envelope, pages, and what has no body.
func checkOutsideContract(t testing.TB, a answer) {
	t.Helper()
	if a.code == apperr.OK {
		return
	}
	var body any
	if err := json.Unmarshal(a.body, &body); err != nil {
		t.Fatal(err)
	}
	envelope := document.Components.Responses["BadRequest"].Value.Content[jsonType].Schema.Value
	if err := envelope.VisitJSON(body); err != nil {
		t.Errorf("the answer is no error of the contract: %v\n%s", err, a.body)
	}
}

// checkAgainst reports whether the answer is one that the operation declares.
func checkAgainst(t testing.TB, spec *openapi3.Operation, r *http.Request, a answer) bool {
	t.Helper()
	if a.code != apperr.OK && !slices.Contains(errorCodes(spec), a.code) {
		t.Errorf("operation %s answered code %d, which it does not declare", spec.OperationID, a.code)
		return false
	}
	if spec.Responses.Status(a.status) == nil { // which ValidateResponse does not look at for 304 and HEAD
		t.Errorf("operation %s answered status %d, which it does not declare", spec.OperationID, a.status)
		return false
	}
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: r, Route: &routers.Route{Spec: document, Operation: spec},
		},
		Status: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		t.Errorf("operation %s broke the contract: %v", spec.OperationID, err)
	}
	return err == nil
}

// operationOf finds the operation of a request in another way than the server does; nil where there is none.
func operationOf(r *http.Request) *openapi3.Operation {
	_, pattern := operationMux.Handler(r)
	return operations[pattern]
}

var operations = func() map[string]*openapi3.Operation {
	found := map[string]*openapi3.Operation{}
	for path, item := range document.Paths.Map() {
		for method, spec := range item.Operations() {
			found[method+" "+path] = spec
		}
	}
	return found
}()

var operationMux = func() *http.ServeMux {
	mux := http.NewServeMux()
	for pattern := range maps.Keys(operations) {
		mux.Handle(pattern, http.NotFoundHandler())
	}
	return mux
}()
