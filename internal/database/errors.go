package database

import (
	"database/sql/driver"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/go-sql-driver/mysql"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gatehouse/internal/apperr"
)

// ErrCommitUnknown is in the error of a transaction whose COMMIT was sent but not answered: its
// changes may be stored or not. A caller that must know has to look for them.
// Every other error of InTx means that nothing was stored.
var ErrCommitUnknown = errors.New("it is unknown whether the transaction was stored")

// IsDuplicate reports whether the database refused a row because its value of a unique key already exists.
func IsDuplicate(err error) bool {
	return isMySQL(err,
		1022, 1062, // duplicate key, duplicate entry
		1586, // duplicate entry, with the key's name
	) ||
		isSQLite(err, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// retryAfter is when a client may repeat a request that the database could not serve.
const retryAfter = time.Second

// Refusal gives an error of the database a code that a client can act on: StorageFull, or ServerBusy
// if a retry may succeed. It does not change other errors. Errors of InTx and Exec already have their code.
func Refusal(err error) error {
	switch {
	case IsFull(err):
		return apperr.Wrap(apperr.StorageFull, err)
	case isBusy(err), errors.Is(err, ErrCommitUnknown):
		return apperr.Later(apperr.ServerBusy, retryAfter, err)
	default:
		return err
	}
}

// IsFull reports whether the disk of the database is full, or its quota is used up.
func IsFull(err error) bool {
	return isMySQL(err,
		20, 1021, // the disk is full, in MariaDB and in MySQL
		1114, // the table is full
	) ||
		isSQLite(err, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE,
			sqlite3.SQLITE_IOERR_WRITE) // for SQLite, a quota that is used up
}

// isBusy reports whether other transactions were in the way (deadlock, lock timeout, write conflict,
// busy) or the connection was lost, so that a retry may succeed.
func isBusy(err error) bool {
	return !errors.Is(err, ErrCommitUnknown) && (isConflict(err) || isLost(err))
}

// isConflict reports whether the database rolled a transaction back in favour of another one.
func isConflict(err error) bool {
	return errors.Is(err, errBatchLost) ||
		isMySQL(err,
			1020,             // MariaDB: record has changed since last read
			1205, 1213, 3572, // lock timeout, deadlock, lock not available at once
			8002, 8022, 8028, 9007, // TiDB: write conflicts, schema changed
		) ||
		isSQLite(err, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_BUSY_SNAPSHOT, sqlite3.SQLITE_BUSY_RECOVERY,
			sqlite3.SQLITE_BUSY_TIMEOUT, sqlite3.SQLITE_LOCKED)
}

// isLost reports whether the connection is lost, or the server is stopping or not ready yet.
func isLost(err error) bool {
	var network *net.OpError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) || errors.As(err, &network) ||
		isMySQL(err,
			1040, 1203, // too many connections
			1047,             // Galera: the node is not ready
			1053, 1927, 3169, // server shutdown, connection killed, session killed
		)
}

// isAlreadyAltered reports that MySQL refused an ALTER TABLE or CREATE INDEX because it was made before.
func isAlreadyAltered(err error) bool {
	return isMySQL(err, 1060, 1061) // duplicate column name, duplicate key name
}

// isUnsent reports that the server was not reached, or refused the statement.
func isUnsent(err error) bool {
	var network *net.OpError
	var refused *mysql.MySQLError
	return errors.As(err, &refused) || errors.As(err, &network) && network.Op == "dial"
}

// isDefinite reports whether a failed COMMIT certainly stored nothing.
func isDefinite(err error) bool {
	return isConflict(err) || errors.Is(err, driver.ErrBadConn) || isSQLite(err, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)
}

func isMySQL(err error, numbers ...uint16) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && slices.Contains(numbers, e.Number)
}

func isSQLite(err error, codes ...int) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && slices.Contains(codes, e.Code())
}
