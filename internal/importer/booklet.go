package importer

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"gatehouse/internal/account"
)

// bookletPage is how many users are read at once. Between two pages no statement is open: the server would
// end one whose reader hashes passwords for a minute.
const bookletPage = 1000

// Booklet returns the users of the booklet's database. Their passwords, clear text or an MD5 digest, are
// what the app sends. Times are read as local ones of this machine, as the booklet's server writes them.
func Booklet(ctx context.Context, databaseURL string) (Source, error) {
	pool, err := openBooklet(databaseURL)
	if err != nil {
		return Source{}, err
	}
	defer pool.Close()
	source := Source{Users: bookletUsers(ctx, databaseURL)}
	if err := pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM users").Scan(&source.Total); err != nil {
		return Source{}, fmt.Errorf("count the booklet's users: %w", err)
	}
	return source, nil
}

// openBooklet reads a URL like --database. Its errors never repeat the URL, which holds a password.
func openBooklet(databaseURL string) (*sql.DB, error) {
	u, err := url.Parse(databaseURL)
	if err != nil || u.Scheme != "mysql" {
		return nil, errors.New("the booklet's database must look like mysql://user:password@host:3306/demo")
	}
	config := mysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.Net, config.Addr = "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "3306"))
	if socket := u.Query().Get("socket"); socket != "" {
		config.Net, config.Addr = "unix", socket
	}
	config.TLSConfig = u.Query().Get("tls")
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.ParseTime, config.Loc = true, time.Local
	config.Timeout, config.ReadTimeout = 10*time.Second, time.Minute
	config.Logger = &mysql.NopLogger{} // errors come back to us anyway
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("the booklet's database: %w", err)
	}
	return sql.OpenDB(connector), nil
}

func bookletUsers(ctx context.Context, databaseURL string) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		pool, err := openBooklet(databaseURL)
		if err != nil {
			yield(User{}, err)
			return
		}
		defer pool.Close()
		for last := int64(-1); ; {
			users, err := bookletUsersAfter(ctx, pool, &last)
			if err != nil {
				yield(User{}, fmt.Errorf("read the booklet's users: %w", err))
				return
			}
			for _, user := range users {
				if !yield(user, nil) {
					return
				}
			}
			if len(users) < bookletPage {
				return
			}
		}
	}
}

// bookletUsersAfter returns a page of users, and moves last to the id of the last of them.
func bookletUsersAfter(ctx context.Context, pool *sql.DB, last *int64) ([]User, error) {
	rows, err := pool.QueryContext(ctx,
		"SELECT id, phone, password, createTime FROM users WHERE id > ? ORDER BY id LIMIT ?", *last, bookletPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var users []User
	for rows.Next() {
		var phone, password sql.NullString
		var createdAt sql.NullTime
		if err := rows.Scan(last, &phone, &password, &createdAt); err != nil {
			return nil, err
		}
		users = append(users, User{
			Where:    fmt.Sprintf("user %d", *last),
			Imported: account.Imported{Phone: phone.String, Password: password.String, CreatedAt: createdAt.Time},
		})
	}
	return users, rows.Err()
}
