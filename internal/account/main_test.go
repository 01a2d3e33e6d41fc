package account

import (
	"testing"

	"gatehouse/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }
