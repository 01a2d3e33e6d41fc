package database

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const urlForm = "mysql://user:password@host:3306/name"

// mysqlConfig reads a database URL. Its errors never repeat the URL, which holds a password.
func mysqlConfig(raw string, log *slog.Logger) (*mysql.Config, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("the database URL cannot be parsed: it must look like " + urlForm + ", with special characters in the user and the password as %XX")
	}
	name := strings.TrimPrefix(u.Path, "/")
	if u.Scheme != "mysql" || u.Host == "" || u.User == nil || name == "" || strings.Contains(name, "/") || u.Fragment != "" {
		return nil, errors.New("the database URL must look like " + urlForm + " (or be empty for SQLite)")
	}
	c := mysql.NewConfig()
	c.User = u.User.Username()
	c.Passwd, _ = u.User.Password()
	c.Net, c.Addr, c.DBName = "tcp", u.Host, name
	if u.Port() == "" {
		c.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	if err := mysqlParams(c, u.Query()); err != nil {
		return nil, err
	}
	c.ParseTime, c.ClientFoundRows, c.InterpolateParams = true, true, true
	c.Timeout, c.ReadTimeout, c.WriteTimeout = mysqlDialTimeout, mysqlReadTimeout, mysqlReadTimeout
	c.Params = map[string]string{
		"time_zone":                "'+00:00'",
		"sql_mode":                 "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
		"innodb_lock_wait_timeout": "3", // seconds; InTx retries after that
	}
	c.Logger = driverLog{log}
	// Truncate times: MySQL would round them, SQLite does not.
	return c, c.Apply(mysql.Charset("utf8mb4", "utf8mb4_bin"), mysql.TimeTruncate(time.Microsecond))
}

// mysqlParams applies the parameters after the question mark.
func mysqlParams(c *mysql.Config, params url.Values) error {
	for key, values := range params {
		switch key {
		case "tls": // true, skip-verify, preferred
			c.TLSConfig = values[0]
		case "socket": // a unix socket, instead of host and port
			c.Net, c.Addr = "unix", values[0]
		default:
			return errors.New("the database URL has a parameter other than tls and socket")
		}
	}
	return nil
}

// driverLog logs the messages of the driver: lost connections, which are retried.
type driverLog struct{ log *slog.Logger }

func (l driverLog) Print(v ...any) {
	l.log.Debug("mysql driver", "msg", fmt.Sprint(v...))
}
