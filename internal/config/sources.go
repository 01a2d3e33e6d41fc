package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

const envPrefix = "GATEHOUSE_"

// Kubernetes sets these for a service called gatehouse; they are not meant as options.
var kubernetesEnv = regexp.MustCompile(`^GATEHOUSE_(SERVICE_HOST|SERVICE_PORT|PORT)(_|$)`)

// origin is where the value of an option came from, and the name of the option there.
type origin struct{ source, key string }

// parser collects the values of the options, and their problems.
type parser struct {
	app      *kong.Kong
	env      map[string]string // by the option's name
	file     map[string]any
	path     string
	given    map[string]origin
	refused  map[string]bool // options that a problem was noted for
	problems []string
}

func (p *parser) note(option, problem string) {
	p.refused[option] = true
	p.problems = append(p.problems, problem)
}

// resolve finds an option that is not on the command line.
func (p *parser) resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if value, ok := p.env[flag.Name]; ok {
		p.given[flag.Name] = origin{"environment", envName(flag.Name)}
		return value, nil
	}
	value, ok := p.file[flag.Name]
	if !ok {
		return nil, nil
	}
	p.given[flag.Name] = origin{"file", p.path + ": " + flag.Name}
	text, err := scalar(value, flag.IsSlice())
	if err != nil {
		p.note(flag.Name, fmt.Sprintf("%s: %s", p.given[flag.Name].key, err))
		return nil, nil
	}
	return text, nil
}

// scalar returns a YAML value as it would be written on the command line.
func scalar(value any, list bool) (string, error) {
	switch value := value.(type) {
	case nil:
		return "", errors.New("it has no value; set one, or remove the key")
	case map[string]any:
		return "", errors.New("want a plain value, not a mapping")
	case []any:
		if !list {
			return "", errors.New("want one value, not a list")
		}
		texts := make([]string, len(value))
		for i, element := range value {
			text, err := scalar(element, false)
			if err != nil {
				return "", err
			}
			texts[i] = text
		}
		return strings.Join(texts, ","), nil
	default:
		return fmt.Sprint(value), nil
	}
}

// readSources reads the environment and the file, notes unknown keys, and marks the options that are set on the
// command line.
func (p *parser) readSources(ctx *kong.Context, environ []string) {
	for _, step := range ctx.Path {
		if step.Flag != nil {
			p.given[step.Flag.Name] = origin{"flag", "--" + step.Flag.Name}
		}
	}
	p.readEnv(environ)
	p.path = p.env["config"]
	if flag := p.flag("config"); p.given["config"].source == "flag" {
		p.path, _ = ctx.FlagValue(flag).(string)
	}
	if p.path != "" {
		p.readFile()
	}
}

func (p *parser) readEnv(environ []string) {
	p.env = make(map[string]string)
	for _, variable := range environ {
		key, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(key, envPrefix) || value == "" || kubernetesEnv.MatchString(key) {
			continue
		}
		name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(key, envPrefix), "_", "-"))
		if p.flag(name) == nil || envName(name) != key {
			p.note("", fmt.Sprintf("%s: %s", key, p.unknown(name)))
			continue
		}
		p.env[name] = value
	}
}

func (p *parser) readFile() {
	file, err := os.Open(p.path)
	if err != nil {
		p.note("config", fmt.Sprintf("%s: %s", cmp.Or(p.given["config"].key, envName("config")), err))
		return
	}
	defer file.Close()
	if err := yaml.NewDecoder(file).Decode(&p.file); err != nil && !errors.Is(err, io.EOF) {
		// The library's own text quotes the lines around the mistake, which may have passwords.
		p.note("config", fmt.Sprintf("%s: %s", p.path, yaml.FormatError(err, false, false)))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(p.file)) {
		switch {
		case p.flag(name) == nil:
			p.note("", fmt.Sprintf("%s: %s: %s", p.path, name, p.unknown(name)))
		case name == "config":
			p.note("config", fmt.Sprintf("%s: config: a file cannot name another one; remove it", p.path))
		}
	}
}

// flag returns the option with a name, or nil.
func (p *parser) flag(name string) *kong.Flag {
	for _, flag := range p.app.Model.Flags {
		if flag.Name == name && flag != p.app.Model.HelpFlag {
			return flag
		}
	}
	return nil
}

// unknown says that there is no such option, and suggests one: kong finds it.
func (p *parser) unknown(name string) string {
	if p.flag(name) != nil { // in the wrong case, in the environment
		return fmt.Sprintf("there is no such option, did you mean %s?", envName(name))
	}
	if name == "help" {
		return "there is no such option"
	}
	ctx, err := kong.Trace(p.app, []string{"--" + name})
	if err != nil {
		return err.Error()
	}
	return ctx.Error.Error()
}

// dropUnknown notes unknown flags and returns the other arguments, so that one mistake does not hide the next.
func (p *parser) dropUnknown(args []string) []string {
	var known []string
	for i := 0; i < len(args); i++ {
		name, _, joined := strings.Cut(strings.TrimPrefix(args[i], "--"), "=")
		if !strings.HasPrefix(args[i], "--") || name == "" || name == "help" || p.isKnown(name) {
			known = append(known, args[i])
			continue
		}
		p.note("", p.unknown(name))
		if next := i + 1; !joined && next < len(args) && !strings.HasPrefix(args[next], "-") {
			i = next // probably its value
		}
	}
	return known
}

// isKnown reports whether there is a flag for all commands or for one; kong refuses that of another command.
func (p *parser) isKnown(name string) bool {
	known := false
	_ = kong.Visit(p.app.Model, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && flag.Name == name {
			known = true
		}
		return next(nil)
	})
	return known
}

func envName(option string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(option, "-", "_"))
}
