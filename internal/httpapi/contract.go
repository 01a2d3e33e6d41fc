package httpapi

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"

	"gatehouse/internal/api"
	"gatehouse/internal/limit"
)

// operation is what the server needs of an operation of the contract at each request.
type operation struct {
	id         string
	bearer     bool           // an access token lets in
	cookie     bool           // a session cookie lets in
	optional   bool           // so does nothing at all
	isPage     bool           // answers browsers
	isBooklet  bool           // the booklet's server has it
	isUpload   bool           // takes a picture, or a piece of one, as it streams in
	isForm     bool           // in a form
	isSigned   bool           // by a secret that the caller shares
	takesQuery bool           // besides a body
	mediaTypes []string       // of the body; none: it takes no body
	route      *routers.Route // what kin-openapi checks; nil where there is nothing to check

	limitClass  string
	addressRate limit.Rate // what one address may do; zero: no limit
	userRate    limit.Rate // what one user may do; zero: no limit
}

type operationKey struct{ method, pattern string }

// contract finds operations by what chi has matched.
type contract struct {
	operations map[operationKey]*operation
	hidden     map[operationKey]bool // has a route, but is not served with these options
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
	c := contract{operations: map[operationKey]*operation{}, hidden: map[operationKey]bool{}, json: text}
	for path, item := range document.Paths.Map() {
		for method, spec := range item.Operations() {
			key := operationKey{method, path}
			if spec.OperationID == "loginForHomePage" && !options.Dev && !options.Booklet {
				c.hidden[key] = true
				continue
			}
			c.operations[key] = newOperation(&routers.Route{
				Spec: document, Path: path, PathItem: item, Method: method, Operation: spec,
			}, options)
		}
	}
	return c, nil
}

func newOperation(route *routers.Route, options Options) *operation {
	spec := route.Operation
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
	o.limitClass, _ = spec.Extensions["x-limit"].(string)
	o.addressRate, o.userRate = options.Limits[o.limitClass], options.Limits[o.limitClass+limit.UserSuffix]
	if spec.RequestBody != nil {
		for mediaType := range spec.RequestBody.Value.Content {
			o.mediaTypes = append(o.mediaTypes, mediaType)
		}
	}
	_, o.isSigned = requirementOf(spec)["webhookSignature"]
	o.takesQuery = slices.ContainsFunc(spec.Parameters, isQuery)
	o.isForm = slices.Contains(o.mediaTypes, "multipart/form-data")
	o.isUpload = o.isForm || slices.Contains(o.mediaTypes, "application/offset+octet-stream")
	o.route = checkedRoute(route, o.isUpload)
	return o
}

// requirementOf is the first way to be let in; empty where everybody is.
func requirementOf(spec *openapi3.Operation) openapi3.SecurityRequirement {
	if len(*spec.Security) == 0 {
		return nil
	}
	return (*spec.Security)[0]
}

func isQuery(p *openapi3.ParameterRef) bool { return p.Value.In == openapi3.ParameterInQuery }

// checkedRoute leaves to kin-openapi what it can check before the handler: callers are recognised
// earlier, and uploads are read by the handler as they stream in.
func checkedRoute(route *routers.Route, isUpload bool) *routers.Route {
	spec := *route.Operation
	spec.Security = nil
	if isUpload {
		spec.RequestBody = nil
	}
	parameters := slices.Concat(spec.Parameters, route.PathItem.Parameters)
	if spec.RequestBody == nil && !slices.ContainsFunc(parameters, isConstrained) {
		return nil
	}
	route.Operation = &spec
	return route
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
