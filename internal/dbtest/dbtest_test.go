package dbtest_test

import (
	"testing"

	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestRunGivesFreshMigratedDatabases(t *testing.T) {
	for range 3 {
		dbtest.Run(t, func(t *testing.T, d *database.Database) {
			if err := d.Ready(t.Context()); err != nil {
				t.Errorf("Ready: %v", err)
			}
		})
	}
}
