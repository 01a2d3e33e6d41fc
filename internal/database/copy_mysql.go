package database

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	osexec "os/exec" // exec is a function of this package
	"path/filepath"
	"strings"

	"github.com/go-sql-driver/mysql"
)

func (e *mysqlEngine) kind() Kind { return MySQL }

func (e *mysqlEngine) sizeQuery() string {
	return "SELECT CAST(COALESCE(SUM(data_length), 0) AS SIGNED) FROM information_schema.tables WHERE table_schema = DATABASE()"
}

// dumpOptions take one moment of the database without locking it, and only what Gatehouse has there.
var dumpOptions = []string{
	"--single-transaction", "--quick", "--skip-lock-tables", "--no-tablespaces", "--hex-blob", "--complete-insert",
	"--default-character-set=utf8mb4", "--skip-routines", "--skip-events", "--skip-triggers",
	"--skip-add-drop-table", "--skip-add-locks", "--skip-disable-keys",
}

// oracleDumpOptions are for a mysqldump that is not MariaDB's: the others do not know them.
var oracleDumpOptions = []string{"--set-gtid-purged=OFF", "--column-statistics=0"}

// copyTo lets the server's own program write a dump. The password is in a file that only this user reads.
func (e *mysqlEngine) copyTo(ctx context.Context, file string) (err error) {
	program, isMariaDB, err := findDump(ctx)
	if err != nil {
		return err
	}
	defaults := file + ".cnf"
	if err := os.WriteFile(defaults, dumpDefaults(e.config, isMariaDB), 0o600); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(defaults)) }()
	args := append([]string{"--defaults-file=" + defaults}, dumpOptions...)
	if !isMariaDB {
		args = append(args, oracleDumpOptions...)
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	var complaints bytes.Buffer
	cmd := osexec.CommandContext(ctx, program, append(args, "--", e.config.DBName)...)
	cmd.Env = []string{"LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = out, &complaints
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s: %w: %s", filepath.Base(program), err, bytes.TrimSpace(complaints.Bytes()))
	}
	return checkDumpEnd(file)
}

// dumpFolders are looked through where PATH does not name the program.
var dumpFolders = []string{"", "/usr/bin", "/usr/local/bin", "/usr/local/mysql/bin"}

// findDump finds the program that dumps, and whether it is MariaDB's.
func findDump(ctx context.Context) (program string, isMariaDB bool, err error) {
	for _, name := range []string{"mariadb-dump", "mysqldump"} {
		for _, folder := range dumpFolders {
			path, err := osexec.LookPath(filepath.Join(folder, name))
			if err != nil {
				continue
			}
			version, err := osexec.CommandContext(ctx, path, "--version").Output()
			if err != nil {
				return "", false, fmt.Errorf("%s --version: %w", path, err)
			}
			return path, bytes.Contains(version, []byte("MariaDB")), nil
		}
	}
	return "", false, errors.New("neither mariadb-dump nor mysqldump is installed: " +
		"apt-get install mariadb-client (Debian, Ubuntu), or dnf install mariadb or mysql (Red Hat and its like)")
}

// dumpDefaults says in an option file where the database is, as our URL does.
func dumpDefaults(c *mysql.Config, isMariaDB bool) []byte {
	lines := []string{"[client]", "user=" + quoteDefault(c.User), "password=" + quoteDefault(c.Passwd)}
	if c.Net == "unix" {
		lines = append(lines, "socket="+quoteDefault(c.Addr))
	} else {
		host, port, _ := net.SplitHostPort(c.Addr) // mysqlConfig has joined them
		lines = append(lines, "protocol=tcp", "host="+quoteDefault(host), "port="+port)
		lines = append(lines, dumpTLS(c.TLSConfig, isMariaDB)...)
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

func quoteDefault(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// authorities is where Debian, Red Hat and their like keep the certificates of authorities.
var authorities = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"}

// dumpTLS says what the parameter tls of the URL says.
func dumpTLS(mode string, isMariaDB bool) (lines []string) {
	switch mode {
	case "true":
		lines = []string{"ssl-mode=VERIFY_IDENTITY"}
		if isMariaDB {
			lines = []string{"ssl", "ssl-verify-server-cert"}
		}
		for _, file := range authorities {
			if _, err := os.Stat(file); err == nil {
				return append(lines, "ssl-ca="+file)
			}
		}
		return lines
	case "skip-verify":
		if isMariaDB {
			return []string{"ssl", "skip-ssl-verify-server-cert"}
		}
		return []string{"ssl-mode=REQUIRED"}
	case "preferred":
		if isMariaDB {
			return []string{"skip-ssl-verify-server-cert"}
		}
		return []string{"ssl-mode=PREFERRED"}
	}
	if isMariaDB {
		return []string{"skip-ssl"}
	}
	return []string{"ssl-mode=DISABLED"}
}

// checkDumpEnd finds a dump that ended early without saying so.
func checkDumpEnd(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	end := make([]byte, min(info.Size(), 256))
	if _, err := f.ReadAt(end, info.Size()-int64(len(end))); err != nil && err != io.EOF {
		return err
	}
	if !bytes.Contains(end, []byte("-- Dump completed")) {
		return errors.New("the dump ended before it was complete")
	}
	return nil
}

// restoring is a table that marks a database whose restore is not finished.
const restoring = "gatehouse_restore"

// vacantMySQL returns the tables that an interrupted restore left. Its error says what is in the way.
func vacantMySQL(ctx context.Context, pool *sql.DB) (left []string, err error) {
	rows, err := pool.QueryContext(ctx, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	isOurs := false
	for rows.Next() {
		var table string
		if err := rows.Scan(&table); err != nil {
			return nil, err
		}
		left, isOurs = append(left, table), isOurs || table == restoring
	}
	if len(left) > 0 && !isOurs {
		return nil, fmt.Errorf("table %s is in the way: name a new database in the URL, or drop this one and create it again", left[0])
	}
	return left, rows.Err()
}

// restoreMySQL executes a dump. The mark goes last: a server that is started before refuses what is there.
func restoreMySQL(ctx context.Context, o Options, file string, changes []Statement) (err error) {
	e, err := openMySQL(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.close()) }()
	pool, err := e.migrationPool()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := lockRestore(ctx, conn); err != nil {
		return err
	}
	if err := dropLeft(ctx, e.db, conn); err != nil {
		return err
	}
	if err := load(ctx, conn, file, changes); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "DROP TABLE "+restoring)
	return err
}

// dropLeft marks the database, and drops what an interrupted restore left.
func dropLeft(ctx context.Context, pool *sql.DB, conn *sql.Conn) error {
	left, err := vacantMySQL(ctx, pool)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+restoring+" (id INT PRIMARY KEY)"); err != nil {
		return err
	}
	for _, table := range left {
		if table == restoring {
			continue
		}
		if _, err := conn.ExecContext(ctx, "DROP TABLE `"+table+"`"); err != nil {
			return err
		}
	}
	return nil
}

// lockRestore keeps a second restore from dropping what the first one loads. The lock ends with the connection.
func lockRestore(ctx context.Context, conn *sql.Conn) error {
	var locked sql.NullBool
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(CONCAT(LEFT(DATABASE(), 50), ' restore'), 0)").Scan(&locked); err != nil {
		return err
	}
	if !locked.Bool {
		return errors.New("another restore is under way")
	}
	return nil
}

func load(ctx context.Context, conn *sql.Conn, file string, changes []Statement) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	for statement, err := range statements(f) {
		if err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, string(statement)); err != nil {
			return fmt.Errorf("load the dump: %w", err)
		}
	}
	return change(ctx, conn, changes)
}
