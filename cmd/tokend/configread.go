package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/BurntSushi/toml"
)

// The bounds of a configuration file. No setting lies deeper than one table and one
// list.
const (
	maxConfig      = 64 << 10 // bytes
	maxConfigDepth = 4        // brackets and braces within each other
	maxConfigDots  = 4        // in a name
	maxProblems    = 20       // that are told
)

// usualConfig is the configuration that is read when none is named: the
// system's, or the user's own. It is empty for a user without a home.
func usualConfig(system bool) string {
	if system {
		return systemConfig()
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "tokend", "tokend.toml")
}

// document is a configuration as it was read.
type document struct {
	config config
	path   string      // empty where there is no file
	info   fs.FileInfo // of the file, nil without one
	text   string      // what the file has
	// distrust is why the system's daemon does not believe the file; empty if it does.
	distrust string
}

// line is the line of a setting in the file; 0 if it does not have it.
func (d document) line(setting string) int { return settingLine(d.text, setting) }

// readConfig reads the file at path; with an empty path and no file at fallback
// the defaults hold. The system's daemon believes no file that others can write to.
func readConfig(path, fallback string, system bool) (document, error) {
	named := path != ""
	if !named {
		path = fallback
	}
	if path == "" || path == os.DevNull {
		return document{config: defaultConfig()}, nil
	}
	d, err := readConfigFile(path)
	if err != nil {
		if !named && errors.Is(err, fs.ErrNotExist) {
			return document{config: defaultConfig(), path: path}, nil
		}
		return document{}, usageError{fmt.Errorf("cannot read the configuration: %w", err)}
	}
	if d.distrust != "" && system {
		return document{}, usageError{fmt.Errorf("cannot use %s: %s", path, d.distrust)}
	}
	var found []problem
	d.config, found = inspectConfig(d.text)
	for _, p := range found {
		return document{}, usageError{fmt.Errorf("%s: %w", path, p)}
	}
	return d, nil
}

// readConfigFile reads a file that is a file, and not too long; its settings are left.
func readConfigFile(path string) (document, error) {
	// What is no file could be waited for at its opening.
	if info, err := os.Stat(path); err != nil {
		return document{}, err
	} else if !info.Mode().IsRegular() {
		return document{}, fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return document{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return document{}, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return document{}, err
	}
	if len(b) > maxConfig {
		return document{}, fmt.Errorf("%s is larger than %d bytes", path, maxConfig)
	}
	return document{path: path, info: info, text: string(b), distrust: distrustOpen(f, info)}, nil
}

// problem is something wrong with a configuration. It is an error.
type problem struct {
	Level   string `json:"level"` // "error": it is not used; "warning"
	Line    int    `json:"line,omitempty"`
	Setting string `json:"setting,omitempty"`
	Message string `json:"message"`
	// Fix is what mends it: a command, or what to write.
	Fix string `json:"fix,omitempty"`
}

// The levels of a problem.
const (
	levelError   = "error"
	levelWarning = "warning"
)

func (p problem) Error() string {
	if p.Line == 0 {
		return p.Message
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Message)
}

// parseConfig reads a configuration strictly: what it does not know it refuses,
// with the line.
func parseConfig(text string) (config, error) {
	c, found := inspectConfig(text)
	if len(found) > 0 {
		return config{}, found[0]
	}
	return c, nil
}

// inspectConfig reads a configuration strictly, and says all that keeps it from being
// used.
func inspectConfig(text string) (config, []problem) {
	c := defaultConfig()
	if line := tooDeep(text); line > 0 {
		return c, []problem{{Level: levelError, Line: line, Message: "lists and tables lie too deep within each other", Fix: "compare with: tokend config sample"}}
	}
	meta, err := toml.Decode(text, &c)
	if err != nil {
		return c, []problem{decodeProblem(text, err)}
	}
	var found []problem
	unknown := meta.Undecoded()
	for _, key := range unknown[:min(len(unknown), maxProblems)] {
		name := key.String()
		p := problem{Level: levelError, Line: lineOf(text, key), Setting: name, Message: fmt.Sprintf("there is no setting %q", name), Fix: "remove the line"}
		if like := likest(name); like != "" {
			p.Fix = "if " + like + " is meant, write that; else remove the line"
		}
		found = append(found, p)
	}
	if len(found) > 0 { // of a table that is misspelt, the first says enough
		return c, found
	}
	for _, err := range each(c.check()) {
		found = append(found, settingProblem(text, err))
	}
	return c, found
}

// each is the errors that were joined.
func each(err error) []error {
	if err == nil {
		return nil
	}
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range many.Unwrap() {
		all = append(all, each(e)...)
	}
	return all
}

// decodeProblem is why a text is no TOML, or a value has the wrong type.
func decodeProblem(text string, err error) problem {
	p := problem{Level: levelError, Message: err.Error(), Fix: "compare with: tokend config sample"}
	var parse toml.ParseError
	last := ""
	if errors.As(err, &parse) {
		p.Line, p.Message, last = parse.Position.Line, parse.Message, parse.LastKey
	} else if rest, is := strings.CutPrefix(p.Message, "toml: line "); is { // of a wrong type it says so in words alone
		_, rest, _ = strings.Cut(rest, `(last key "`)
		last, p.Message, _ = strings.Cut(rest, `"): `)
	}
	for _, s := range settings(defaultConfig()) {
		if s.name == last {
			p.Setting, p.Fix = s.name, s.remedy()
			p.Line = cmp.Or(p.Line, settingLine(text, s.name))
		}
	}
	if p.Message == "" {
		p.Message = err.Error()
	}
	return p
}

// settingProblem is what check said of a setting.
func settingProblem(text string, err error) problem {
	p := problem{Level: levelError, Message: err.Error()}
	for _, s := range settings(defaultConfig()) {
		rest, is := strings.CutPrefix(p.Message, s.name)
		if is && len(s.name) > len(p.Setting) && strings.IndexAny(rest, " :") == 0 {
			p.Setting, p.Fix = s.name, s.remedy()
		}
	}
	p.Line = settingLine(text, p.Setting)
	return p
}

// setting is one setting of the file, with a value.
type setting struct {
	name   string // with its table: "session.idle_lock"
	doc    string
	reload bool // it changes at SIGHUP
	value  reflect.Value
}

// settings are all, in the order of the sample.
func settings(c config) []setting {
	var own, tables []setting
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Type.Kind() != reflect.Struct {
			own = append(own, settingOf("", f, v.Field(i)))
			continue
		}
		for j := range f.Type.NumField() {
			tables = append(tables, settingOf(f.Tag.Get("toml")+".", f.Type.Field(j), v.Field(i).Field(j)))
		}
	}
	return append(own, tables...)
}

func settingOf(table string, f reflect.StructField, v reflect.Value) setting {
	return setting{name: table + f.Tag.Get("toml"), doc: f.Tag.Get("doc"), reload: f.Tag.Get("reload") != "", value: v}
}

// text is its value as the file has it.
func (s setting) text() string { return sampleValue(s.value.Interface()) }

// remedy is what to write when its value cannot be used; s has the default.
func (s setting) remedy() string {
	return fmt.Sprintf("write %s = %s, or remove the line, which means the same", s.name[strings.LastIndexByte(s.name, '.')+1:], s.text())
}
