package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/go-chi/chi/v5"

	"gatehouse/internal/apperr"
)

const maxBodyBytes = 64 << 10 // of everything but uploads

// limitBody checks the media type of the body and bounds its size, before a byte of it is read.
func (s *server) limitBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := callFrom(r.Context()).operation
		if len(o.mediaTypes) > 0 {
			if err := checkMediaType(r, o.mediaTypes); err != nil {
				if s.Booklet && o.isBooklet { // which knows one refusal only
					err = errNoImageField
				}
				s.writeError(w, r, err)
				return
			}
			if !o.takesQuery {
				r.URL.RawQuery = "" // which would fill in what a form lacks, and where no password belongs
			}
		}
		switch {
		case o.isUpload:
			s.limitUpload(w, r)
		case len(o.mediaTypes) > 0:
			r.Body = http.MaxBytesReader(w, r.Body, maxBodyBytes)
		}
		next.ServeHTTP(w, r)
	})
}

// verifySignature lets in only who shares the secret of an operation, which vouches for the whole body.
func (s *server) verifySignature(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !callFrom(r.Context()).operation.isSigned {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			s.writeError(w, r, refusalFromValidation(err))
			return
		}
		if err := s.VerifyVerdict(r.Header, body); err != nil {
			s.writeError(w, r, err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// checkMediaType also writes the type in lower case, since the generated code compares it as it is.
func checkMediaType(r *http.Request, taken []string) error {
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || !slices.Contains(taken, mediaType) {
		names := strings.Join(slices.Sorted(slices.Values(taken)), ", ")
		return apperr.New(apperr.UnsupportedMediaType, apperr.Detail{
			Field: "Content-Type", Reason: apperr.Text{Chinese: "应为 " + names, English: "should be " + names},
		})
	}
	if boundary, ok := params["boundary"]; ok {
		r.Header.Set("Content-Type", mime.FormatMediaType(mediaType, map[string]string{"boundary": boundary}))
	} else {
		r.Header.Set("Content-Type", mediaType)
	}
	return nil
}

// validate checks the shape of a request against the contract.
func (s *server) validate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o := callFrom(r.Context()).operation
		if o.route == nil {
			next.ServeHTTP(w, r)
			return
		}
		err := openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
			Request: r, PathParams: pathParams(r), Route: o.route, Options: validationOptions,
		})
		if err != nil {
			s.writeError(w, r, refusalFromValidation(err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

var validationOptions = &openapi3filter.Options{
	MultiError:          true, // name all that is wrong at once
	KeepValidatedValue:  true, // so that JSON is not parsed twice
	SkipSettingDefaults: true,
	AuthenticationFunc:  openapi3filter.NoopAuthenticationFunc,
}

func pathParams(r *http.Request) map[string]string {
	matched := chi.RouteContext(r.Context()).URLParams
	params := make(map[string]string, len(matched.Keys))
	for i, key := range matched.Keys {
		params[key] = matched.Values[i]
	}
	return params
}

func init() {
	openapi3filter.RegisterBodyDecoder("application/json", decodeWholeJSON)
}

var errJunkAfterJSON = errors.New("something follows the JSON value")

// decodeWholeJSON refuses what kin-openapi's own decoder overlooks: anything behind the value.
func decodeWholeJSON(body io.Reader, _ http.Header, _ *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (any, error) {
	var value any
	decoder := json.NewDecoder(body)
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errJunkAfterJSON
	}
	return value, nil
}
