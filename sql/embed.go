// Package sql embeds the migrations, one folder for each database.
package sql

import "embed"

// Migrations holds mysql/*.sql and sqlite/*.sql, applied in the order of their numbers. Each of
// MySQL's is one statement that can be run again, such as CREATE TABLE IF NOT EXISTS, or that is then
// refused because its columns or keys are there already: MySQL commits it before the number is noted,
// and the program may be killed in between.
//
//go:embed mysql/*.sql sqlite/*.sql
var Migrations embed.FS
