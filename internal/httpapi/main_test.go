package httpapi

import (
	"errors"
	"flag"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"gatehouse/internal/dbtest"
)

func TestMain(m *testing.M) {
	minio.DefaultRetryUnit = time.Millisecond // S3 is gone for good where a test says so
	dbtest.Main(m, reportUnseen)
}

// withoutServer is set where no database server or no S3 can be had, which some answers need.
var withoutServer bool

func sharedMinIO(t *testing.T) *dbtest.MinIO {
	t.Helper()
	defer noteMissing(t)
	return dbtest.SharedMinIO(t)
}

func newMinIO(t *testing.T) *dbtest.MinIO {
	t.Helper()
	defer noteMissing(t)
	return dbtest.NewMinIO(t)
}

func noteMissing(t *testing.T) { withoutServer = withoutServer || t.Skipped() }

// reportUnseen fails a run of all tests that has left out an answer or an example of the contract.
func reportUnseen() error {
	if withoutServer {
		return nil // dbtest says loudly what did not run
	}
	for _, filter := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if flag.Lookup(filter).Value.String() != "" {
			return nil
		}
	}
	var unseen error
	for _, declared := range observed.missing() {
		unseen = errors.Join(unseen, errors.New("no test has seen of the contract: "+declared))
	}
	return unseen
}
