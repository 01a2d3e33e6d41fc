package database_test

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/internal/database"
	"gatehouse/internal/dbtest"
)

// TestInspect finds nothing wrong with a new database, on both: their migrations make the same.
func TestInspect(t *testing.T) {
	dbtest.Run(t, func(t *testing.T, d *database.Database) {
		i, err := d.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !i.IsSupported() || len(i.Pending)+len(i.Newer)+len(i.Missing)+len(i.Collations) > 0 || i.Damage != "" {
			t.Errorf("a new database: %+v", i)
		}
		if d.Kind() == database.MySQL && (i.Isolation != "READ-COMMITTED" || i.Charset != "utf8mb4" || i.MaxConnections == 0 || i.Now.IsZero()) {
			t.Errorf("MySQL: %+v", i)
		}
	})
}

// TestInspectFindsWhatIsBroken breaks a database on purpose.
func TestInspectFindsWhatIsBroken(t *testing.T) {
	dbtest.RunURL(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		d := dbtest.OpenIn(t, url, dir, nil)
		pool := dbtest.OpenPool(t, url, dir)
		index := "DROP INDEX images_owner_id"
		if url != "" {
			index += " ON images"
		}
		statements := []string{index, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)"}
		if url != "" {
			statements = append(statements, "ALTER TABLE users MODIFY nickname VARCHAR(64) CHARACTER SET latin1 NOT NULL")
		}
		for _, statement := range statements {
			if _, err := pool.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
		i, err := d.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(i.Missing, []string{"index images (owner_id, id)"}) || !slices.Equal(i.Newer, []int64{99999}) {
			t.Errorf("missing %q and newer %v, want the index and the migration", i.Missing, i.Newer)
		}
		if url != "" && (len(i.Collations) != 1 || !strings.HasPrefix(i.Collations[0], "users.nickname (latin1")) {
			t.Errorf("collations %q, want that of users.nickname", i.Collations)
		}
		if _, err := pool.ExecContext(t.Context(), "DELETE FROM goose_db_version WHERE version_id = 20"); err != nil {
			t.Fatal(err)
		}
		if i, err = d.Inspect(t.Context()); err != nil || !slices.Equal(i.Pending, []string{"00020_upload_pieces.sql"}) {
			t.Errorf("pending %q, %v; want the one that is not noted", i.Pending, err)
		}
	})
}

func TestSupportedVersions(t *testing.T) {
	for version, want := range map[string]bool{
		"SQLite 3.54.1": true, "10.11.6-MariaDB-0+deb12u1": true, "10.5.1-MariaDB": false, "11.4.2-MariaDB": true,
		"8.0.36 MySQL": true, "5.7.44 MySQL": false, "": false,
	} {
		if got := (database.Inspection{Version: version}).IsSupported(); got != want {
			t.Errorf("%s: supported %t, want %t", version, got, want)
		}
	}
}
