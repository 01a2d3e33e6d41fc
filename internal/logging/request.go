package logging

import (
	"context"
	"log/slog"
)

const (
	requestIDKey = "request_id"
	traceIDKey   = "trace_id"
)

type requestKey struct{}

// request is what the lines of a request say of it.
type request struct{ id, traceID string }

// WithRequestID returns a context that adds the id of a request to its log lines.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, request{id: id})
}

// WithTraceID returns a context that adds the id of a trace too.
func WithTraceID(ctx context.Context, id string) context.Context {
	r, _ := ctx.Value(requestKey{}).(request)
	r.traceID = id
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestID returns the id that was added by WithRequestID, if any.
func RequestID(ctx context.Context) (id string, ok bool) {
	r, ok := ctx.Value(requestKey{}).(request)
	return r.id, ok
}

// requestHandler adds to slog's JSON handler what textHandler does itself: the ids of the request, and writing
// errors immediately.
type requestHandler struct {
	slog.Handler
	out *outlet
}

// Handle adds the ids and passes the record on.
func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if of, ok := ctx.Value(requestKey{}).(request); ok {
		r.AddAttrs(slog.String(requestIDKey, of.id))
		if of.traceID != "" {
			r.AddAttrs(slog.String(traceIDKey, of.traceID))
		}
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
