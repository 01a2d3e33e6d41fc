// Package sql embeds the migrations, one folder for each database.
package sql

import "embed"

// Migrations holds mysql/*.sql and sqlite/*.sql, applied in the order of their numbers.
//
//go:embed mysql/*.sql sqlite/*.sql
var Migrations embed.FS
