package site

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"

	"gatehouse/internal/apperr"
)

// samples names every page, with data that makes it show all that it can.
var samples = map[string]any{
	"home":   Home{Nickname: "Ada", Visits: 2},
	"login":  Login{Refusal: "-"},
	"switch": Switch{Current: "Ada", Next: "Bob", Ticket: "-"},
	"about":  nil,
	"docs":   nil,
	"error":  Error{Status: 500, Message: "-", RequestID: "-", Cause: "-"},
}

type pageKey struct {
	name     string
	language apperr.Language
}

type pages map[pageKey]*template.Template

// loadPages parses every page in both languages and renders it once, because a wrong field shows only then.
func loadPages(files overlay, assets assets) (pages, error) {
	loaded := pages{}
	for _, language := range []apperr.Language{apperr.Chinese, apperr.English} {
		layout, err := parse(files, template.New("").Funcs(functions(language, assets)), "layout")
		if err != nil {
			return nil, err
		}
		for name, sample := range samples {
			page, err := parse(files, template.Must(layout.Clone()), name)
			if err != nil {
				return nil, err
			}
			loaded[pageKey{name, language}] = page
			if _, err := loaded.render(name, language, sample); err != nil {
				return nil, fmt.Errorf("try %s: %w", files.origin(templateFile(name)), err)
			}
		}
	}
	return loaded, nil
}

// functions are what templates can call besides Go's own.
func functions(language apperr.Language, assets assets) template.FuncMap {
	return template.FuncMap{
		"language": func() apperr.Language { return language },
		"text": func(chinese, english string) string {
			return apperr.Text{Chinese: chinese, English: english}.In(language)
		},
		"asset": assets.link,
	}
}

func parse(files overlay, into *template.Template, name string) (*template.Template, error) {
	file := templateFile(name)
	source, err := fs.ReadFile(files, file)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	parsed, err := into.New(name + ".html").Parse(string(source))
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", files.origin(file), err)
	}
	return parsed, nil
}

func templateFile(name string) string { return "templates/" + name + ".html" }

func (p pages) render(name string, language apperr.Language, data any) ([]byte, error) {
	if language != apperr.English {
		language = apperr.Chinese
	}
	var body bytes.Buffer
	if err := p[pageKey{name, language}].ExecuteTemplate(&body, "layout", data); err != nil {
		return nil, fmt.Errorf("render page %s: %w", name, err)
	}
	return body.Bytes(), nil
}
