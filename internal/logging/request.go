package logging

import (
	"context"
	"log/slog"
)

const requestIDKey = "request_id"

type requestKey struct{}

// WithRequestID returns a context that adds the id of a request to its log lines.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// RequestID returns the id that was added by WithRequestID, if any.
func RequestID(ctx context.Context) (id string, ok bool) {
	id, ok = ctx.Value(requestKey{}).(string)
	return id, ok
}

// requestHandler adds to slog's JSON handler what textHandler does itself: the id of the request, and writing
// errors immediately.
type requestHandler struct {
	slog.Handler
	out *outlet
}

// Handle adds the id and passes the record on.
func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if id, ok := RequestID(ctx); ok {
		r.AddAttrs(slog.String(requestIDKey, id))
	}
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelError {
		h.out.flush()
	}
	return err
}

// WithAttrs returns a handler that adds the attributes to its lines.
func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attrs), h.out}
}

// WithGroup returns a handler that puts attributes in a group.
func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name), h.out}
}
