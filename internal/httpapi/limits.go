package httpapi

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"time"

	"gatehouse/internal/apperr"
	"gatehouse/internal/limit"
	"gatehouse/internal/network"
)

// limitAddress bounds how much comes from one address, before anything costly is done for it.
func (s *server) limitAddress(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callFrom(r.Context())
		if rate := c.operation.addressRate; rate.Count > 0 {
			if err := s.take(r.Context(), w, c.operation.limitClass, rate, network.Of(c.client)); err != nil {
				s.writeError(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// limitUser bounds how much one user does, from however many addresses.
func (s *server) limitUser(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := callFrom(r.Context())
		if rate := c.operation.userRate; rate.Count > 0 && c.session.UserID != "" {
			if err := s.take(r.Context(), w, c.operation.limitClass+limit.UserSuffix, rate, c.session.UserID); err != nil {
				s.writeError(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// take counts a request and says in the headers what is left; of two counts, that of the user is told.
func (s *server) take(ctx context.Context, w http.ResponseWriter, class string, rate limit.Rate, who string) error {
	result, err := s.Limiter.Take(ctx, class, rate, who)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("RateLimit-Limit", strconv.Itoa(result.Limit))
	header.Set("RateLimit-Remaining", strconv.Itoa(result.Remaining))
	header.Set("RateLimit-Reset", strconv.Itoa(secondsToWait(result.ResetAfter)))
	if result.Limited {
		return apperr.Later(apperr.TooManyRequests, result.RetryAfter, nil)
	}
	return nil
}

// secondsToWait rounds up, so that who waits that long has waited long enough.
func secondsToWait(d time.Duration) int {
	return int(math.Ceil(d.Seconds()))
}
