// Package web owns the files of the H5 pages and the API docs: templates, styles, scripts and pictures.
package web

import "embed"

// Files holds templates/ (html/template) and assets/ (served as they are).
//
//go:embed templates assets
var Files embed.FS
