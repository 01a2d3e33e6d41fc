package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
)

const maxBodyBytes = 64 << 10 // of everything but uploads

// operation is what the server needs of an operation of the contract at each request.
type operation struct {
	id         string
	bearer     bool // an access token lets in
	cookie     bool // a session cookie lets in
	optional   bool // so does nothing at all
	isPage     bool // answers browsers
	isBooklet  bool // the booklet's server has it
	isUpload   bool
	mediaTypes []string       // of the body; none: it takes no body
	route      *routers.Route // what kin-openapi checks; nil where there is nothing to check
}

type operationKey struct{ method, pattern string }

// contract finds operations by what chi has matched.
type contract struct {
	operations map[operationKey]*operation
	json       []byte
}

var bookletOperations = []string{"registerUser", "loginForHomePage", "uploadImages"}

func loadContract(options Options) (contract, error) {
	document, err := api.GetSpec()
	if err != nil {
		return contract{}, fmt.Errorf("load the contract: %w", err)
	}
	text, err := api.GetSpecJSON()
	if err != nil {
		return contract{}, fmt.Errorf("load the contract: %w", err)
	}
	c := contract{operations: map[operationKey]*operation{}, json: text}
	for path, item := range document.Paths.Map() {
		for method, spec := range item.Operations() {
			if spec.OperationID == "loginForHomePage" && !options.Dev && !options.Booklet {
				continue
			}
			c.operations[operationKey{method, path}] = newOperation(document, path, item, method, spec, options)
		}
	}
	return c, nil
}

func newOperation(document *openapi3.T, path string, item *openapi3.PathItem, method string, spec *openapi3.Operation, options Options) *operation {
	o := &operation{
		id:        spec.OperationID,
		isPage:    slices.Contains(spec.Tags, "h5"),
		isBooklet: slices.Contains(bookletOperations, spec.OperationID),
	}
	for _, requirement := range *spec.Security {
		_, bearer := requirement["bearerAuth"]
		_, cookie := requirement["sessionCookie"]
		o.bearer, o.cookie, o.optional = o.bearer || bearer, o.cookie || cookie, o.optional || len(requirement) == 0
	}
	o.optional = o.optional || options.Booklet && o.isBooklet
	if spec.RequestBody != nil {
		for mediaType := range spec.RequestBody.Value.Content {
			o.mediaTypes = append(o.mediaTypes, mediaType)
		}
	}
	o.isUpload = slices.Contains(o.mediaTypes, "multipart/form-data")
	o.route = checkedRoute(document, path, item, method, *spec, o.isUpload)
	return o
}

// checkedRoute leaves to kin-openapi what it can check before the handler: callers are recognised
// earlier, and uploads are read by the handler as they stream in.
func checkedRoute(document *openapi3.T, path string, item *openapi3.PathItem, method string, spec openapi3.Operation, isUpload bool) *routers.Route {
	spec.Security = nil
	if isUpload {
		spec.RequestBody = nil
	}
	if spec.RequestBody == nil && !slices.ContainsFunc(spec.Parameters, isConstrained) && !slices.ContainsFunc(item.Parameters, isConstrained) {
		return nil
	}
	return &routers.Route{Spec: document, Path: path, PathItem: item, Method: method, Operation: &spec}
}

// isConstrained reports whether a parameter can be wrong: not so a string that may be anything.
func isConstrained(p *openapi3.ParameterRef) bool {
	schema := p.Value.Schema.Value
	anyString := schema.Type.Is(openapi3.TypeString) && schema.Pattern == "" && schema.MinLength == 0 &&
		schema.MaxLength == nil && schema.Enum == nil && schema.Format == ""
	return !anyString || p.Value.In != openapi3.ParameterInPath && p.Value.Required
}

// find returns the operation that a request matched. HEAD is answered as GET where it is no operation of its own.
func (c contract) find(r *http.Request) *operation {
	pattern := chi.RouteContext(r.Context()).RoutePattern()
	if o, ok := c.operations[operationKey{r.Method, pattern}]; ok || r.Method != http.MethodHead {
		return o
	}
	return c.operations[operationKey{http.MethodGet, pattern}]
}

// hides reports whether a route of the contract is not served with these options.
func (c contract) hides(method, pattern string) bool {
	return pattern == "/users/login" && c.operations[operationKey{method, pattern}] == nil
}

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
