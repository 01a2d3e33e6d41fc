package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"gatehouse/internal/dbtest"
)

// The databases that the server runs on.
const (
	sqlite = "sqlite"
	mysql  = "mysql"
)

// mysqlServer is the one that TEST_MYSQL names, or a private one that ends with the bench.
type mysqlServer struct {
	url     *url.URL
	config  *driver.Config
	pool    *sql.DB
	private *dbtest.Server // nil: not ours
}

func openMySQL() (*mysqlServer, error) {
	m := &mysqlServer{}
	raw := os.Getenv("TEST_MYSQL")
	if raw == "" {
		var err error
		if m.private, err = dbtest.StartServer(); err != nil {
			return nil, fmt.Errorf("%w; name a server in TEST_MYSQL, or measure with -database %s", err, sqlite)
		}
		raw = m.private.URL
	}
	var err error
	if m.url, err = url.Parse(raw); err != nil || m.url.Scheme != "mysql" || m.url.Host == "" {
		return nil, errors.New("TEST_MYSQL must look like mysql://user:password@host:3306/")
	}
	m.config = driver.NewConfig()
	m.config.Net, m.config.Addr, m.config.User = "tcp", m.url.Host, m.url.User.Username()
	m.config.Passwd, _ = m.url.User.Password()
	m.pool, err = m.open("")
	return m, err
}

func (m *mysqlServer) open(database string) (*sql.DB, error) {
	config := m.config.Clone()
	config.DBName = database
	return sql.Open("mysql", config.FormatDSN())
}

// create makes an empty database, and returns its name and what removes it.
func (m *mysqlServer) create(ctx context.Context) (name string, drop func() error, err error) {
	name = "gatehouse_bench_" + strings.ToLower(rand.Text())
	_, err = m.pool.ExecContext(ctx, "CREATE DATABASE "+name+" CHARACTER SET utf8mb4")
	drop = func() error {
		_, err := m.pool.Exec("DROP DATABASE IF EXISTS " + name)
		return err
	}
	return name, drop, err
}

func (m *mysqlServer) close() error {
	err := m.pool.Close()
	if m.private != nil {
		err = errors.Join(err, m.private.Stop())
	}
	return err
}
