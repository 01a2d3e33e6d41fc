package database

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Inspection is what a database says of itself.
type Inspection struct {
	Version  string
	Now      time.Time // by its clock; zero for SQLite, which has none
	Pending  []string  // migrations that are not applied yet
	Newer    []int64   // migrations that this program does not know
	Missing  []string  // columns and indexes that the migrations made, and that are gone; only known where none is pending
	Damage   string    // that SQLite has found
	Unread   bool      // SQLite was not read to its end, which would have taken too long
	WALBytes int64     // of SQLite

	Isolation      string   // of our connections; this and what follows is of MySQL
	Charset        string   // of new tables
	Collations     []string // columns whose charset or collation is another one
	MostOpen       int      // connections that the program opens
	MaxConnections int
	MaxPrepared    int // statements
}

// Inspect looks at a database, and changes nothing in it. Unlike for everything else, Migrate need not be
// called before.
func (d *Database) Inspect(ctx context.Context) (Inspection, error) {
	i := Inspection{MostOpen: d.engine.pool().Stats().MaxOpenConnections}
	if err := d.engine.inspect(ctx, &i); err != nil {
		return i, fmt.Errorf("inspect the database: %w", err)
	}
	if err := d.inspectMigrations(ctx, &i); err != nil {
		return i, err
	}
	if len(i.Pending) > 0 {
		return i, nil
	}
	expected, err := expectedSchema(ctx)
	if err != nil {
		return i, fmt.Errorf("make the schema to compare with: %w", err)
	}
	actual, err := d.engine.schema(ctx)
	if err != nil {
		return i, fmt.Errorf("read the schema: %w", err)
	}
	i.Missing = expected.without(actual)
	return i, nil
}

func (d *Database) inspectMigrations(ctx context.Context, i *Inspection) error {
	all, err := d.Status(ctx)
	if err != nil {
		return err
	}
	known := make(map[int64]bool)
	for _, m := range all {
		known[m.Version] = true
		if m.AppliedAt.IsZero() {
			i.Pending = append(i.Pending, m.Name)
		}
	}
	applied, err := d.applied(ctx)
	if err != nil {
		return err
	}
	for version := range applied {
		if version > 0 && !known[version] {
			i.Newer = append(i.Newer, version)
		}
	}
	slices.Sort(i.Newer)
	return nil
}

// schema is the columns of all tables, and their indexes, by their columns; true if it is unique. Names of
// indexes differ between the databases, and say nothing.
type schema struct {
	columns map[string]bool
	indexes map[string]bool
}

// without lists what another schema lacks.
func (s schema) without(other schema) (missing []string) {
	for column := range s.columns {
		if !other.columns[column] {
			missing = append(missing, "column "+column)
		}
	}
	for index, unique := range s.indexes {
		if found, ok := other.indexes[index]; !ok || unique && !found {
			missing = append(missing, "index "+index)
		}
	}
	slices.Sort(missing)
	return missing
}

// expectedSchema is what the migrations make of a new SQLite. Those of MySQL make the same, which a test sees to.
func expectedSchema(ctx context.Context) (s schema, err error) {
	dir, err := os.MkdirTemp("", "gatehouse-schema-")
	if err != nil {
		return schema{}, err
	}
	defer os.RemoveAll(dir)
	d, err := Open(ctx, Options{DataDir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return schema{}, err
	}
	defer d.Close()
	if _, err := d.Migrate(ctx); err != nil {
		return schema{}, err
	}
	return d.engine.schema(ctx)
}

// readSchema reads rows of table and column, and rows of table, index, unique and column.
func readSchema(ctx context.Context, pool *sql.DB, columns, indexes string) (schema, error) {
	s := schema{columns: make(map[string]bool), indexes: make(map[string]bool)}
	err := eachRow(ctx, pool, columns, func(values []string) {
		s.columns[values[0]+"."+values[1]] = true
	})
	if err != nil {
		return schema{}, err
	}
	unique, parts := make(map[string]bool), make(map[string][]string)
	err = eachRow(ctx, pool, indexes, func(values []string) {
		name := values[0] + " " + values[1]
		unique[name] = values[2] == "1"
		parts[name] = append(parts[name], values[3])
	})
	for name, columns := range parts {
		table, _, _ := strings.Cut(name, " ")
		index := table + " (" + strings.Join(columns, ", ") + ")"
		s.indexes[index] = s.indexes[index] || unique[name]
	}
	return s, err
}

// eachRow reads all columns as text.
func eachRow(ctx context.Context, pool *sql.DB, query string, see func(values []string)) error {
	rows, err := pool.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, targets := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		texts := make([]string, len(values))
		for i, value := range values {
			texts[i] = value.String
		}
		see(texts)
	}
	return rows.Err()
}

func (e *sqliteEngine) inspect(ctx context.Context, i *Inspection) error {
	if err := e.readers.QueryRowContext(ctx, "SELECT 'SQLite ' || sqlite_version()").Scan(&i.Version); err != nil {
		return err
	}
	i.Damage, i.Unread = quickCheck(ctx, e.readers, checkPatience)
	if info, err := os.Stat(e.file + "-wal"); err == nil {
		i.WALBytes = info.Size()
	}
	return ctx.Err()
}

// checkPatience is how long a database is read to find damage.
const checkPatience = 5 * time.Second

// quickCheck returns what is damaged, or that the time was over before.
func quickCheck(ctx context.Context, pool *sql.DB, patience time.Duration) (damage string, unread bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var found string
	switch err := pool.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found); {
	case err != nil && ctx.Err() != nil:
		return "", true
	case err != nil:
		return err.Error(), false
	case found != "ok":
		return found, false
	}
	return "", false
}

func (e *sqliteEngine) schema(ctx context.Context) (schema, error) {
	const tables = "FROM sqlite_master m, %s WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%%' AND m.name NOT LIKE 'goose_%%'"
	return readSchema(ctx, e.readers,
		fmt.Sprintf("SELECT m.name, c.name "+tables, "pragma_table_info(m.name) c"),
		fmt.Sprintf(`SELECT m.name, l.name, l."unique", c.name `+tables+" ORDER BY m.name, l.name, c.seqno",
			"pragma_index_list(m.name) l, pragma_index_info(l.name) c"))
}

func (e *mysqlEngine) inspect(ctx context.Context, i *Inspection) error {
	const facts = "SELECT VERSION(), UTC_TIMESTAMP(6), @@character_set_database, @@max_connections, @@max_prepared_stmt_count"
	err := e.db.QueryRowContext(ctx, facts).Scan(&i.Version, &i.Now, &i.Charset, &i.MaxConnections, &i.MaxPrepared)
	if err != nil {
		return err
	}
	if !strings.Contains(i.Version, "MariaDB") {
		i.Version += " MySQL"
	}
	err = eachRow(ctx, e.db, "SHOW VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')", func(values []string) {
		i.Isolation = values[1]
	})
	if err != nil {
		return err
	}
	const texts = `SELECT table_name, column_name, character_set_name, collation_name FROM information_schema.columns
		WHERE table_schema = DATABASE() AND character_set_name IS NOT NULL AND table_name NOT LIKE 'goose\_%'`
	return eachRow(ctx, e.db, texts, func(values []string) {
		charset, collation := values[2], values[3]
		if charset != "ascii" && charset != "utf8mb4" || !strings.HasSuffix(collation, "_bin") {
			i.Collations = append(i.Collations, values[0]+"."+values[1]+" ("+collation+")")
		}
	})
}

func (e *mysqlEngine) schema(ctx context.Context) (schema, error) {
	const ours = ` WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose\_%'`
	return readSchema(ctx, e.db,
		"SELECT table_name, column_name FROM information_schema.columns"+ours,
		"SELECT table_name, index_name, 1 - non_unique, column_name FROM information_schema.statistics"+ours+
			" ORDER BY table_name, index_name, seq_in_index")
}

// IsSupported reports whether the version is one that the program is tested with: MySQL 8, MariaDB 10.6, or newer.
func (i Inspection) IsSupported() bool {
	numbers := strings.FieldsFunc(i.Version, func(r rune) bool { return r < '0' || r > '9' })
	if len(numbers) < 2 {
		return false
	}
	major, _ := strconv.Atoi(numbers[0])
	minor, _ := strconv.Atoi(numbers[1])
	switch {
	case strings.HasPrefix(i.Version, "SQLite"):
		return true
	case strings.Contains(i.Version, "MariaDB"):
		return major > 10 || major == 10 && minor >= 6
	}
	return major >= 8
}
