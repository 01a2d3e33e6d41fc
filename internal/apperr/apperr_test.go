package apperr_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/internal/apperr"
)

func TestEveryCodeIsComplete(t *testing.T) {
	said := map[string]apperr.Code{}
	for _, code := range apperr.Codes() {
		text := code.Text()
		known := http.StatusText(code.Status()) != "" || code.Status() == apperr.StatusChecksumMismatch
		if !known || (code.Status() < 400) != (code == apperr.OK) {
			t.Errorf("code %d has the status %d", code, code.Status())
		}
		for _, words := range []string{text.In(apperr.Chinese), text.In(apperr.English)} {
			if words == "" {
				t.Errorf("code %d has nothing to say in one language", code)
			}
			if other, ok := said[words]; ok && other != code {
				t.Errorf("codes %d and %d both say %q", code, other, words)
			}
			said[words] = code
		}
		if text.In("") != text.Chinese || text.In("fr") != text.Chinese {
			t.Errorf("code %d does not speak Chinese where nothing else is asked for", code)
		}
	}
}

func TestFrom(t *testing.T) {
	refusal := apperr.New(apperr.WrongPassword)
	tests := []struct {
		name string
		err  error
		want apperr.Code
	}{
		{"itself", refusal, apperr.WrongPassword},
		{"wrapped", fmt.Errorf("log in: %w", refusal), apperr.WrongPassword},
		{"joined", errors.Join(io.EOF, refusal), apperr.WrongPassword},
		{"the outer of two", apperr.Wrap(apperr.NotLoggedIn, refusal), apperr.NotLoggedIn},
		{"unknown", io.ErrUnexpectedEOF, apperr.Internal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := apperr.From(test.err)
			if got.Code != test.want {
				t.Errorf("code is %d, want %d", got.Code, test.want)
			}
			if want := test.want != apperr.Internal; apperr.Is(test.err, test.want) != want {
				t.Errorf("Is(%d) is %t, want %t", test.want, !want, want)
			}
		})
	}
}

func TestIs(t *testing.T) {
	err := fmt.Errorf("log in: %w", apperr.New(apperr.NotRegistered))
	if !apperr.Is(err, apperr.WrongPassword, apperr.NotRegistered) {
		t.Error("one of several codes is not recognised")
	}
	if apperr.Is(err, apperr.WrongPassword) || apperr.Is(err) || apperr.Is(nil, apperr.NotRegistered) {
		t.Error("another code, no code or no error is recognised")
	}
}

func TestErrorKeepsItsCauseForTheLog(t *testing.T) {
	err := apperr.Wrap(apperr.StorageFull, io.ErrShortWrite, apperr.Detail{Field: "/image"})
	if !errors.Is(err, io.ErrShortWrite) || len(err.Details) != 1 {
		t.Errorf("cause or detail is lost in %v", err)
	}
	for _, want := range []string{"9006", apperr.StorageFull.Text().English, io.ErrShortWrite.Error()} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the log would read %q, without %q", err, want)
		}
	}
	if got := apperr.New(apperr.StorageFull).Error(); got != "9006 "+apperr.StorageFull.Text().English {
		t.Errorf("the log would read %q", got)
	}
}

func TestBusy(t *testing.T) {
	cause := errors.New("why")
	if err := apperr.Later(apperr.ServerBusy, 3*time.Second, cause); err.Code != apperr.ServerBusy || err.RetryAfter != 3*time.Second || !errors.Is(err, cause) {
		t.Errorf("busy is %+v", err)
	}
}
