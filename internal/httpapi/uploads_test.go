package httpapi

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// tus speaks the version of the protocol that the server does.
var tus = with("Tus-Resumable", tusVersion)

// newSession begins an upload in pieces, and returns its path.
func (s *testServer) newSession(t testing.TB, u user, bytes string) string {
	t.Helper()
	begun := s.send(t, newRequest(http.MethodPost, tusPath, "", nil, tus, with("Upload-Length", bytes), bearer(u.token)))
	return pathOf(t, begun.wantStatus(t, http.StatusCreated).header.Get("Location"))
}

// goodUploads are, for each operation of uploads in pieces and past the server, a request that a user may send.
func (s *testServer) goodUploads(t testing.TB, u user) map[string]func() *http.Request {
	t.Helper()
	token, session, doomed := bearer(u.token), s.newSession(t, u, "2"), s.newSession(t, u, "2")
	return map[string]func() *http.Request{
		"createUploadSession": func() *http.Request {
			return newRequest(http.MethodPost, tusPath, "", nil, tus, with("Upload-Length", "2"), token)
		},
		"describeUploadSessions": func() *http.Request { return newRequest(http.MethodOptions, tusPath, "", nil) },
		"getUploadSession":       func() *http.Request { return get(session, token) },
		"headUploadSession":      func() *http.Request { return head(session, tus, token) },
		"continueUpload": func() *http.Request {
			return newRequest(http.MethodPatch, session, "application/offset+octet-stream", strings.NewReader("x"), tus, with("Upload-Offset", "0"), token)
		},
		"cancelUpload":         func() *http.Request { return del(doomed, tus, token) },
		"createDirectUpload":   func() *http.Request { return postJSON("/upload/direct", map[string]any{"bytes": 2}, token) },
		"completeDirectUpload": func() *http.Request { return post("/upload/direct/"+uuid.NewString(), "", "", token) },
	}
}

// isOfS3 reports whether an operation needs a storage in S3.
func isOfS3(operationID string) bool {
	return operationID == "createDirectUpload" || operationID == "completeDirectUpload"
}

// sendUploadExamples sends the examples about uploads in pieces, and past the server, of which the path names none.
func (s *testServer) sendUploadExamples(t testing.TB, token change) {
	t.Helper()
	s.sendExamplesAs(t, "createUploadSession", token, http.StatusCreated)
	for _, operation := range []string{"getUploadSession", "headUploadSession", "cancelUpload", "completeDirectUpload"} {
		s.sendExamplesAs(t, operation, token, http.StatusNotFound)
	}
	s.sendExamplesAs(t, "createDirectUpload", token, http.StatusConflict)
}
