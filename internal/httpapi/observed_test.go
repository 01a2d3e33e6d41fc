package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	"gatehouse/internal/api"
	"gatehouse/internal/apperr"
)

// document is the contract that the server was generated from.
var document = mustLoad()

func mustLoad() *openapi3.T {
	document, err := api.GetSpec()
	if err != nil {
		panic(err)
	}
	return document
}

// successes are the statuses that no error code stands behind, but for one: an upload in pieces has a
// code for 412.
var successes = []int{
	http.StatusOK, http.StatusCreated, http.StatusNoContent, http.StatusPartialContent, http.StatusSeeOther, http.StatusNotModified,
	http.StatusPreconditionFailed, http.StatusRequestedRangeNotSatisfiable,
}

// sighting is one kind of answer of an operation; its code is OK where none stands behind the status.
type sighting struct {
	operation string
	status    int
	code      apperr.Code
}

func (s sighting) String() string {
	return fmt.Sprintf("operation %s, status %d, code %d", s.operation, s.status, s.code)
}

// observed is what the tests have seen of the contract.
var observed = observations{answers: map[sighting]bool{}, examples: map[*openapi3.MediaType]bool{}}

type observations struct {
	mu       sync.Mutex
	answers  map[sighting]bool
	examples map[*openapi3.MediaType]bool // that an answer was equal to
}

// note remembers an answer that the contract allows.
func (o *observations) note(spec *openapi3.Operation, a answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !a.isPage() || a.status < http.StatusBadRequest { // an error page does not say its code
		for _, code := range codesOf(spec, a) {
			o.answers[sighting{spec.OperationID, a.status, code}] = true
		}
	}
	declared := spec.Responses.Status(a.status).Value.Content.Get(a.header.Get("Content-Type"))
	if declared == nil || declared.Example == nil || o.examples[declared] {
		return
	}
	var sent any
	if json.Unmarshal(a.body, &sent) == nil && equalButVolatile("", declared.Example, sent) {
		o.examples[declared] = true
	}
}

// missing lists what the contract declares and no test has seen.
func (o *observations) missing() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var missing []string
	for _, item := range document.Paths.Map() {
		for _, spec := range item.Operations() {
			for _, declared := range declaredAnswers(spec) {
				if !o.answers[declared] {
					missing = append(missing, declared.String())
				}
			}
			missing = append(missing, o.missingExamples(spec)...)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

func (o *observations) missingExamples(spec *openapi3.Operation) []string {
	var missing []string
	for status, response := range spec.Responses.Map() {
		for mediaType, declared := range response.Value.Content {
			if declared.Example == nil || o.examples[declared] {
				continue
			}
			where := response.Ref // shared by operations: one of them has to answer so
			if where == "" {
				where = spec.OperationID + " " + status
			}
			missing = append(missing, fmt.Sprintf("the example of %s in %s", mediaType, where))
		}
	}
	return missing
}

func declaredAnswers(spec *openapi3.Operation) []sighting {
	var declared []sighting
	for _, code := range errorCodes(spec) {
		declared = append(declared, sighting{spec.OperationID, code.Status(), code})
	}
	for _, status := range declaredStatuses(spec) {
		if slices.Contains(successes, status) && len(codesWithStatus(spec, status)) == 0 {
			declared = append(declared, sighting{spec.OperationID, status, apperr.OK})
		}
	}
	return declared
}

// codesOf are the codes that an answer stands for: what HEAD gets has no body to tell them apart.
func codesOf(spec *openapi3.Operation, a answer) []apperr.Code {
	if codes := codesWithStatus(spec, a.status); slices.Contains(codes, a.code) && len(a.body) == 0 {
		return codes
	}
	return []apperr.Code{a.code}
}

func codesWithStatus(spec *openapi3.Operation, status int) []apperr.Code {
	return slices.DeleteFunc(errorCodes(spec), func(code apperr.Code) bool { return code.Status() != status })
}

func declaredStatuses(spec *openapi3.Operation) []int {
	var statuses []int
	for status := range spec.Responses.Map() {
		number, err := strconv.Atoi(status)
		if err != nil {
			panic(fmt.Sprintf("operation %s has a response %q", spec.OperationID, status))
		}
		statuses = append(statuses, number)
	}
	slices.Sort(statuses)
	return statuses
}

// errorCodes are the codes that an operation says it can answer.
func errorCodes(spec *openapi3.Operation) []apperr.Code {
	text, err := json.Marshal(spec.Extensions["x-error-codes"])
	if err != nil {
		panic(err)
	}
	var codes []apperr.Code
	if err := json.Unmarshal(text, &codes); err != nil {
		panic(err)
	}
	return codes
}

var uuidShape = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// shapes are of the members that differ from answer to answer.
var shapes = map[string]*regexp.Regexp{
	"id":           uuidShape,
	"kid":          uuidShape,
	"x":            regexp.MustCompile(`^[\w-]{43}$`),
	"accessToken":  regexp.MustCompile(`^eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+$`),
	"refreshToken": regexp.MustCompile(`^[\w-]{70}$`),
	"homeUrl":      regexp.MustCompile(`^http://127\.0\.0\.1:8000/h5/home\?ticket=[\w-]{64}$`),
	"url": regexp.MustCompile(`^http://127\.0\.0\.1:8000/static/image/[a-z2-7]{26}\.jpg(\?expires=1795165200&signature=[\w-]{43})?$|` +
		`^http://127\.0\.0\.1:\d+/[a-z0-9-]+/$`),
	"bucket":           regexp.MustCompile(`^[a-z0-9-]+$`),
	"key":              regexp.MustCompile(`^direct/[a-z2-7]{26}$`),
	"policy":           regexp.MustCompile(`^eyJ[\w+/]+=*$`),
	"x-amz-credential": regexp.MustCompile(`^\w+/\d{8}/[a-z0-9-]*/s3/aws4_request$`),
	"x-amz-date":       regexp.MustCompile(`^\d{8}T\d{6}Z$`),
	"x-amz-signature":  regexp.MustCompile(`^[0-9a-f]{64}$`),
	"blurHash":         regexp.MustCompile(`^L[\w#$%*+,.:;=?@[\]^{|}~-]{27}$`),
	"color":            regexp.MustCompile(`^#[0-9a-f]{6}$`),
	"imageUrl":         regexp.MustCompile(`^http://127\.0\.0\.1:8000/static/image/[a-z2-7]{26}\.jpg$`),
}

// equalButVolatile reports whether an example says what was sent; what differs each time must have the same shape.
func equalButVolatile(key string, example, sent any) bool {
	switch example := example.(type) {
	case map[string]any:
		sent, ok := sent.(map[string]any)
		if !ok || len(sent) != len(example) {
			return false
		}
		for key, value := range example {
			if !equalButVolatile(key, value, sent[key]) {
				return false
			}
		}
		return true
	case []any:
		sent, ok := sent.([]any)
		return ok && slices.EqualFunc(example, sent, func(a, b any) bool { return equalButVolatile(key, a, b) })
	case string:
		sent, ok := sent.(string)
		if shape := shapes[key]; shape != nil {
			return ok && shape.MatchString(example) && shape.MatchString(sent)
		}
		return ok && example == sent
	default:
		return reflect.DeepEqual(example, sent)
	}
}
