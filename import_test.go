package main

import (
	"encoding/csv"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/internal/dbtest"
)

// newBooklet makes what the booklet's server leaves behind: a database and a folder of pictures.
func newBooklet(t *testing.T) (database, images string) {
	t.Helper()
	database = dbtest.MySQL(t)
	pool := dbtest.OpenPool(t, database, "")
	for _, statement := range []string{
		"CREATE TABLE users (id INTEGER NOT NULL AUTO_INCREMENT, phone VARCHAR(50) NOT NULL, password VARCHAR(50), " +
			"`createTime` DATETIME, PRIMARY KEY (id))",
		"INSERT INTO users (phone, password, createTime) VALUES " +
			"('18866668888', 'demo123456', '2018-04-22 20:15:00'), ('nonsense', 'demo123456', NULL)",
	} {
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	images = t.TempDir()
	if err := os.WriteFile(filepath.Join(images, "demo.png"), pngPicture(t), 0o600); err != nil {
		t.Fatal(err)
	}
	return database, images
}

func TestImportBooklet(t *testing.T) {
	booklet, images := newBooklet(t)
	dbtest.RunURL(t, func(t *testing.T, database string) {
		args, dataDir := databaseArgs(t, database)
		app := newClient(t, start(t, args...))
		imported := func(want string, more ...string) {
			t.Helper()
			arguments := append([]string{"import", "booklet", "--from", booklet, "--images", images}, more...)
			stdout, stderr, code := command(t, "", append(arguments, args...)...)
			if code != 1 || !strings.HasPrefix(stdout, want) || !strings.HasPrefix(stderr, "user 2: phone is not a valid phone number\n") ||
				!strings.Contains(stderr, "gatehouse: 1 were refused") {
				t.Errorf("code %d, stdout %q, stderr %q; want code 1 for the user who was refused, and %q", code, stdout, stderr, want)
			}
		}
		imported("users: 1 would be imported, 0 skipped since they are here already, 1 refused\npictures: 1 would be", "--dry-run")
		app.postJSON("/users/login", credentials).wantError(t, http.StatusNotFound, 1003)
		imported("users: 1 imported, 0 skipped since they are here already, 1 refused\npictures: 1 imported, 0 skipped")
		imported("users: 0 imported, 1 skipped since they are here already, 1 refused\npictures: 0 imported, 1 skipped")

		messageOf[login](t, app.postJSON("/users/login", credentials))
		picture := app.get(newPath(t, filepath.Join(dataDir, "booklet-images.csv"), "/static/image/demo.png"))
		if picture.status != http.StatusOK || picture.body != string(pngPicture(t)) {
			t.Errorf("status %d, want the picture", picture.status)
		}
	})
}

// newPath looks an old path up.
func newPath(t *testing.T, mapFile, old string) string {
	t.Helper()
	file, err := os.Open(mapFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if row[0] == old {
			return row[1]
		}
	}
	t.Fatalf("%s is not in the map %q", old, rows)
	return ""
}

func TestImportFile(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users.csv")
	if err := os.WriteFile(users, []byte("phone,password\n18866668888,demo123456\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args, _ := databaseArgs(t, "")
	wantCommand(t, `^users: 1 imported, 0 skipped since they are here already, 0 refused\n$`, "", append([]string{"import", "csv", users}, args...)...)
	app := newClient(t, start(t, args...)) // on the database that the import has made
	messageOf[login](t, app.postJSON("/users/login", credentials))
	_, stderr, code := command(t, "", append([]string{"import", "supabase", users}, args...)...)
	if code != 1 || !strings.Contains(stderr, "there is no column encrypted_password") {
		t.Errorf("code %d, stderr %q; want code 1 and what is wrong with the file", code, stderr)
	}
}
