package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"

	"gatehouse/internal/idempotency"
)

// once is the request that an Idempotency-Key names, with what it asks for; nil without a key.
func (s *server) once(ctx context.Context, key *string, asked ...string) *idempotency.Once {
	if key == nil {
		return nil
	}
	c := callFrom(ctx)
	fingerprint := sha256.New()
	for _, part := range asked {
		fmt.Fprintf(fingerprint, "%d:%s", len(part), part) // no two lists of parts are written alike
	}
	return s.Idempotency.Once(idempotency.Request{
		Operation: c.operation.id, Caller: c.session.UserID, Key: *key, Fingerprint: [sha256.Size]byte(fingerprint.Sum(nil)),
	})
}

// jsonAnswer is the body of an answer that may be repeated.
type jsonAnswer []byte

func (a jsonAnswer) VisitRegisterUserResponse(w http.ResponseWriter) error   { return a.write(w) }
func (a jsonAnswer) VisitRefreshSessionResponse(w http.ResponseWriter) error { return a.write(w) }
func (a jsonAnswer) VisitUploadImagesResponse(w http.ResponseWriter) error   { return a.write(w) }

func (a jsonAnswer) write(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write(a)
	return err
}

func marshal(answer any) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(answer)
	return body.Bytes(), err
}
