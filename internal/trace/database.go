package trace

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"

	"github.com/XSAM/otelsql"
	"go.opentelemetry.io/otel/attribute"
	otrace "go.opentelemetry.io/otel/trace"
)

// OpenDB is sql.OpenDB, with a span for each statement of a request that is recorded.
func (t *Traces) OpenDB(connector driver.Connector, system string) *sql.DB {
	if t == nil {
		return sql.OpenDB(connector)
	}
	return otelsql.OpenDB(connector, t.options(system)...)
}

// OpenDriver is sql.Open, in the same way.
func (t *Traces) OpenDriver(name, dataSource, system string) (*sql.DB, error) {
	if t == nil {
		return sql.Open(name, dataSource)
	}
	return otelsql.Open(name, dataSource, t.options(system)...)
}

func (t *Traces) options(system string) []otelsql.Option {
	return []otelsql.Option{
		otelsql.WithTracerProvider(t.provider),
		otelsql.WithAttributes(attribute.String("db.system.name", system)),
		otelsql.WithSpanNameFormatter(statementName),
		otelsql.WithSpanErrorAttributesGetter(func(err error) []attribute.KeyValue { return []attribute.KeyValue{errorType(err)} }),
		otelsql.WithSpanOptions(otelsql.SpanOptions{
			RecordError: func(error) bool { return false }, // see errorType
			SpanFilter: func(ctx context.Context, _ otelsql.Method, _ string, _ []driver.NamedValue) bool {
				return otrace.SpanFromContext(ctx).IsRecording()
			},
			OmitRows: true, OmitConnResetSession: true, OmitConnPrepare: true,
		}),
	}
}

// statementName is the name that a query has in sql/queries, or that of the driver's method.
func statementName(_ context.Context, method otelsql.Method, query string) string {
	if named, ok := strings.CutPrefix(query, "-- name: "); ok {
		name, _, _ := strings.Cut(named, " ")
		return name
	}
	return string(method)
}
