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
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/tokenbridge/tokend/ipc"
)

// The bounds of a configuration file. No setting lies deeper than one table and one
// list.
const (
	maxConfig      = 64 << 10 // bytes
	maxConfigDepth = 4        // brackets and braces within each other
	maxConfigDots  = 4        // in a name
	maxProblems    = 50       // that are told
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
	keys   []keyAt     // of the text
	// distrust is why the system's daemon does not believe the file; empty if it does.
	distrust string
}

// line is the line of a setting in the file; 0 if it does not have it.
func (d document) line(setting string) int {
	for _, line := range linesOf(d.keys, setting) {
		return line
	}
	return 0
}

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
	broken := func(err error) (document, error) { return document{}, usageError{brokenConfig{path, err}} }
	if err != nil {
		if !named && errors.Is(err, fs.ErrNotExist) {
			return document{config: defaultConfig(), path: path}, nil
		}
		return broken(fmt.Errorf("cannot read the configuration: %w", err))
	}
	if d.distrust != "" && system {
		return broken(fmt.Errorf("cannot use %s: %s", path, d.distrust))
	}
	found, _ := d.inspect()
	for _, p := range found {
		return broken(fmt.Errorf("%s: %w", path, p))
	}
	return d, nil
}

// brokenConfig is why the configuration at a path cannot be used.
type brokenConfig struct {
	path string
	error
}

// Unwrap returns the error itself.
func (b brokenConfig) Unwrap() error { return b.error }

// checks is the command that says all that is wrong with it, and what mends it.
func (b brokenConfig) checks() string { return "tokend config check " + ipc.ShellWord(b.path) }

// readConfigFile reads a file that is a file, and not too long; its settings are left
// to inspect.
func readConfigFile(path string) (document, error) {
	f, err := openFile(path)
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
	return document{path: path, info: info, text: string(b), keys: keysOf(string(b)), distrust: distrustOpen(f, info)}, nil
}

// errNoFile is that there is something else than a file, such as a folder, a device or a
// pipe.
var errNoFile = errors.New("is no file")

// openFile opens a file for reading. What is none could be waited for at its opening, or
// have no end.
func openFile(path string) (*os.File, error) {
	if err := mustBeFile(path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// mustBeFile fails where there is no file at a path.
func mustBeFile(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s %w", path, errNoFile)
	}
	return err
}

// problem is something wrong with a configuration. It is an error.
type problem struct {
	Level   string `json:"level"` // "error": it is not used; "warning"
	Line    int    `json:"line,omitempty"`
	Setting string `json:"setting,omitempty"`
	Message string `json:"message"`
	// Fix is what mends it: a command, or what to write.
	Fix string `json:"fix,omitempty"`

	again bool // it is there twice: the first counts
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

// inspect reads the settings of a document strictly, and says all that keeps them from
// being used, in the order of the lines. What cannot be taken is left at its default. A
// text that is no TOML is read up to where it is none, and not readable.
func (d *document) inspect() (found []problem, readable bool) {
	d.config = defaultConfig()
	r := readTOML(d.text, d.keys)
	text := d.text
	found = append(r.found, strict(d.keys, &r.keys, r.raw)...)
	if len(found) > 0 { // of which raw has no more what is wrong
		d.keys = r.keys
		b, err := toml.Marshal(r.raw)
		if err != nil {
			return byLine(found), false
		}
		text = string(b)
	}
	if _, err := toml.Decode(text, &d.config); err != nil {
		return byLine(append(found, syntaxProblem(text, d.keys, err))), false
	}
	f := newFlaws(d.keys, found)
	f.cut = r.cut
	for _, err := range each(d.config.check()) {
		found = f.add(found, settingProblem(d.keys, err), err)
	}
	return byLine(found), !r.cut
}

// byLine sorts problems: those of one line by their words.
func byLine(list []problem) []problem {
	slices.SortFunc(list, func(a, b problem) int {
		return cmp.Or(a.Line-b.Line, strings.Compare(a.Level, b.Level), strings.Compare(a.Message, b.Message))
	})
	return list
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

// remedied is an error about a setting with a remedy of its own, or about one that its
// words do not begin with.
type remedied struct {
	error
	setting, fix string
	needs        string // a setting whose lack is the error
}

// Unwrap returns the error itself.
func (r remedied) Unwrap() error { return r.error }

// settingProblem is what check said of a setting.
func settingProblem(keys []keyAt, err error) problem {
	p := problem{Level: levelError, Message: err.Error()}
	for _, s := range settings(defaultConfig()) {
		rest, is := strings.CutPrefix(p.Message, s.name)
		if is && len(s.name) > len(p.Setting) && strings.IndexAny(rest, " :") == 0 {
			p.Setting, p.Fix = s.name, s.remedy()
		}
	}
	var own remedied
	if errors.As(err, &own) {
		p.Setting, p.Fix = cmp.Or(own.setting, p.Setting), cmp.Or(own.fix, p.Fix)
	}
	p.Line = lineNear(keys, p.Setting)
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
