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
	return apperr.New(apperr.InvalidInput, detailsFromValidation("", err)...)
}

// detailsFromValidation takes kin-openapi's errors apart by their types: errors.As would find the first of several only.
func detailsFromValidation(parameter string, err error) []apperr.Detail {
	switch e := err.(type) {
	case openapi3.MultiError:
		var details []apperr.Detail
		for _, one := range e {
			details = append(details, detailsFromValidation(parameter, one)...)
		}
		return details
	case *openapi3filter.RequestError:
		if e.Parameter != nil {
			parameter = e.Parameter.Name
		}
		if e.Err != nil {
			return detailsFromValidation(parameter, e.Err)
		}
	}
	return []apperr.Detail{detailFromSchema(parameter, err)}
}

func detailFromSchema(parameter string, err error) apperr.Detail {
	var schema *openapi3.SchemaError
	switch {
	case errors.As(err, &schema) && parameter != "":
		return apperr.Detail{Field: parameter, Reason: reasonFromSchema(schema)}
	case errors.As(err, &schema):
		return apperr.Detail{Field: "/" + strings.Join(schema.JSONPointer(), "/"), Reason: reasonFromSchema(schema)}
	case errors.Is(err, openapi3filter.ErrInvalidRequired), errors.Is(err, openapi3filter.ErrInvalidEmptyValue):
		return apperr.Detail{Field: parameter, Reason: reasonRequired}
	default:
		return apperr.Detail{Field: parameter, Reason: reasonUnreadable}
	}
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
