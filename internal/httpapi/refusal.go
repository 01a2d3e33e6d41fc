package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"

	"gatehouse/internal/apperr"
)

// refusalFromValidation tells what was wrong with a request without repeating any of it,
// which kin-openapi's own texts do.
func refusalFromValidation(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return apperr.New(apperr.BodyTooLarge)
	}
	return apperr.New(apperr.InvalidInput, detailsFromValidation(err)...)
}

func detailsFromValidation(err error) []apperr.Detail {
	var several openapi3.MultiError
	var request *openapi3filter.RequestError
	switch {
	case errors.As(err, &request) && request.Parameter != nil:
		return detailsFromSchema(request.Parameter.Name, request.Err)
	case errors.As(err, &several):
		var details []apperr.Detail
		for _, one := range several {
			details = append(details, detailsFromValidation(one)...)
		}
		return details
	default:
		return detailsFromSchema("", errOrItself(request, err))
	}
}

func errOrItself(request *openapi3filter.RequestError, err error) error {
	if request != nil && request.Err != nil {
		return request.Err
	}
	return err
}

func detailsFromSchema(parameter string, err error) []apperr.Detail {
	var several openapi3.MultiError
	if errors.As(err, &several) {
		var details []apperr.Detail
		for _, one := range several {
			details = append(details, detailsFromSchema(parameter, one)...)
		}
		return details
	}
	field, reason := parameter, reasonUnreadable
	var schema *openapi3.SchemaError
	switch {
	case errors.As(err, &schema):
		reason = reasonFromSchema(schema)
		if parameter == "" {
			field = "/" + strings.Join(schema.JSONPointer(), "/")
		}
	case errors.Is(err, openapi3filter.ErrInvalidRequired), errors.Is(err, openapi3filter.ErrInvalidEmptyValue):
		reason = reasonRequired
	}
	return []apperr.Detail{{Field: field, Reason: reason}}
}

var (
	reasonRequired   = apperr.Text{Chinese: "必填", English: "is required"}
	reasonType       = apperr.Text{Chinese: "类型不正确", English: "is of the wrong type"}
	reasonForm       = apperr.Text{Chinese: "格式不正确", English: "does not have the right form"}
	reasonUnreadable = apperr.Text{Chinese: "无法解析", English: "cannot be read"}
)

func reasonFromSchema(e *openapi3.SchemaError) apperr.Text {
	switch e.SchemaField {
	case "required":
		return reasonRequired
	case "type", "nullable":
		return reasonType
	case "minLength":
		return apperr.Text{
			Chinese: fmt.Sprintf("至少 %d 个字符", e.Schema.MinLength),
			English: fmt.Sprintf("has fewer than %d characters", e.Schema.MinLength),
		}
	case "maxLength":
		return apperr.Text{
			Chinese: fmt.Sprintf("至多 %d 个字符", *e.Schema.MaxLength),
			English: fmt.Sprintf("has more than %d characters", *e.Schema.MaxLength),
		}
	default:
		return reasonForm
	}
}
