package importer

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "modernc.org/sqlite" // the driver
)

// PocketBase returns the users of the collection users in PocketBase's data.db, which it only reads.
// Superusers are in another collection, and stay there.
func PocketBase(ctx context.Context, path, phoneColumn string) (Source, error) {
	pool, err := openPocketBase(path)
	if err != nil {
		return Source{}, err
	}
	defer pool.Close()
	columns, err := pocketBaseColumns(ctx, pool)
	if err != nil {
		return Source{}, fmt.Errorf("read %s: %w", path, err)
	}
	if len(columns) == 0 {
		return Source{}, fmt.Errorf("%s: there is no table users; it must be the data.db of PocketBase", path)
	}
	if !slices.Contains(columns, phoneColumn) {
		return Source{}, fmt.Errorf("%s: users have no field %q; name the one with the phone number with --phone-column", path, phoneColumn)
	}
	query := pocketBaseQuery(columns, phoneColumn)
	source := Source{Users: pocketBaseUsers(ctx, path, query)}
	if err := pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM users").Scan(&source.Total); err != nil {
		return Source{}, fmt.Errorf("count the users of %s: %w", path, err)
	}
	return source, nil
}

func openPocketBase(path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open the users: %w", err)
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", path, err)
	}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: absolute, RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}).String())
}

func pocketBaseColumns(ctx context.Context, pool *sql.DB) ([]string, error) {
	rows, err := pool.QueryContext(ctx, "SELECT name FROM pragma_table_info('users')")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var columns []string
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			return nil, err
		}
		columns = append(columns, column)
	}
	return columns, rows.Err()
}

// pocketBaseQuery selects what there is. Before version 0.23 the password was called passwordHash; a phone
// number may be in a field for numbers, which is a REAL.
func pocketBaseQuery(columns []string, phoneColumn string) string {
	phone := `"` + strings.ReplaceAll(phoneColumn, `"`, `""`) + `"`
	selected := []string{"id", "CASE typeof(" + phone + ") WHEN 'real' THEN CAST(" + phone + " AS INTEGER) ELSE " + phone + " END"}
	for _, names := range [][]string{{"password", "passwordHash"}, {"name", "username"}, {"created"}} {
		column := "''"
		if i := slices.IndexFunc(names, func(name string) bool { return slices.Contains(columns, name) }); i >= 0 {
			column = `"` + names[i] + `"`
		}
		selected = append(selected, column)
	}
	for i, column := range selected {
		selected[i] = "COALESCE(CAST(" + column + " AS TEXT), '')"
	}
	return "SELECT " + strings.Join(selected, ", ") + " FROM users ORDER BY rowid"
}

func pocketBaseUsers(ctx context.Context, path, query string) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		pool, err := openPocketBase(path)
		if err != nil {
			yield(User{}, err)
			return
		}
		defer pool.Close()
		rows, err := pool.QueryContext(ctx, query)
		if err != nil {
			yield(User{}, fmt.Errorf("read the users of %s: %w", path, err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			user, err := scanPocketBase(rows)
			if !yield(user, err) || err != nil {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(User{}, fmt.Errorf("read the users of %s: %w", path, err))
		}
	}
}

func scanPocketBase(rows *sql.Rows) (User, error) {
	var id, createdAt string
	var user User
	if err := rows.Scan(&id, &user.Phone, &user.PasswordHash, &user.Nickname, &createdAt); err != nil {
		return User{}, fmt.Errorf("read a user: %w", err)
	}
	user.Where = "user " + id
	user.CreatedAt, user.Problem = parseTime(createdAt)
	return user, nil
}
