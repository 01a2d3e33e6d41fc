package sms

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

const answerLimit = 64 << 10 // bytes

// exchange is the http.RoundTripper of one request of a provider's SDK. It keeps what came of the request,
// because the SDKs make errors of it that repeat phones and codes and hide that the context has ended.
type exchange struct {
	ctx    context.Context // Twilio's SDK takes none
	status int
	header http.Header
	body   []byte
	err    error // of the network
}

func (e *exchange) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request.WithContext(e.ctx))
	if err != nil {
		e.err = err
		return nil, err
	}
	defer response.Body.Close()
	e.status, e.header = response.StatusCode, response.Header
	if e.body, e.err = io.ReadAll(io.LimitReader(response.Body, answerLimit)); e.err != nil {
		return nil, e.err
	}
	response.Body = io.NopCloser(bytes.NewReader(e.body))
	response.Header.Del("Location") // no redirect takes the code to somebody else
	return response, nil
}

// decode reads the answer's JSON, or says why there is none.
func (e *exchange) decode(provider string, answer any) error {
	if e.err != nil {
		return fmt.Errorf("reach %s: %w", provider, e.err)
	}
	if e.status == 0 {
		return errors.New(provider + "'s SDK sent nothing; check the options")
	}
	if json.Unmarshal(e.body, answer) != nil {
		return e.strange(provider)
	}
	return nil
}

// strange is the error of an answer that the provider's API does not know.
func (e *exchange) strange(provider string) error {
	return fmt.Errorf("%s answered HTTP %d with something that is not of its API", provider, e.status)
}
