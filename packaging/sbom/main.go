// Command sbom writes what built programs are made of, as they say it themselves:
// a bill of materials (CycloneDX 1.6, JSON), and the licences of all modules that
// are linked into them, as those ask for.
//
//	sbom -name tokend -version 1.2.3 -bom FILE -licences FILE PROGRAM...
//
// It fails for a module whose licence it does not know: whoever adds one decides.
package main

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	name := flag.String("name", "tokend", "what the programs are together")
	version := flag.String("version", "", "their version")
	bom := flag.String("bom", "", "the file for the bill of materials")
	licences := flag.String("licences", "", "the file for the licences")
	flag.Parse()
	if err := run(*name, *version, *bom, *licences, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "sbom: %v\n", err)
		os.Exit(1)
	}
}

func run(name, version, bom, licences string, paths []string) error {
	var programs []program
	for _, path := range paths {
		p, err := readProgram(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		programs = append(programs, p)
	}
	modules, err := linked(programs)
	if err != nil {
		return err
	}
	doc, err := json.MarshalIndent(document(name, version, programs, modules), "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(bom, append(doc, '\n'), 0o600); err != nil {
		return err
	}
	return os.WriteFile(licences, notices(modules), 0o600)
}

// program is what a built program says of itself.
type program struct {
	name      string
	content   []byte
	system    string   // GOOS
	processor string   // GOARCH
	goVersion string   // 1.26.8
	modules   []string // path@version, sorted
	libraries []string // names of shared libraries
}

func readProgram(path string) (program, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return program{}, err
	}
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return program{}, err
	}
	p := program{name: filepath.Base(path), content: content, goVersion: goVersion(info.GoVersion)}
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS":
			p.system = s.Value
		case "GOARCH":
			p.processor = s.Value
		}
	}
	for _, m := range info.Deps {
		if m.Replace != nil {
			return p, fmt.Errorf("%s is replaced: its licence is not looked for", m.Path)
		}
		p.modules = append(p.modules, key(m))
	}
	slices.Sort(p.modules)
	if f, err := elf.NewFile(bytes.NewReader(content)); err == nil {
		if p.libraries, err = f.ImportedLibraries(); err != nil {
			return p, err
		}
	}
	return p, nil
}

func key(m *debug.Module) string { return m.Path + "@" + m.Version }

// goVersion is the release of "go1.26.8 X:runtimesecret" and the like.
func goVersion(said string) string {
	release, _, _ := strings.Cut(strings.TrimPrefix(said, "go"), " ")
	release, _, _ = strings.Cut(release, "-X:")
	return release
}

// linkedModule is a module in at least one program, or the standard library.
type linkedModule struct {
	path, version string
	sum           string
	licence       string // SPDX
	texts         []licenceText
}

type licenceText struct{ file, text string }

// linked finds all modules, with their licences, in the module cache.
func linked(programs []program) ([]linkedModule, error) {
	if len(programs) == 0 {
		return nil, errors.New("no program is named")
	}
	var keys []string
	for _, p := range programs {
		keys = append(keys, p.modules...)
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	out, err := exec.Command("go", append([]string{"mod", "download", "-json"}, keys...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("cannot find the modules: %w", err)
	}
	var modules []linkedModule
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var m struct{ Path, Version, Dir, Sum string }
		if err := d.Decode(&m); err != nil {
			return nil, err
		}
		one := linkedModule{path: m.Path, version: m.Version, sum: m.Sum}
		if one.texts, one.licence, err = readLicences(m.Dir); err != nil {
			return nil, fmt.Errorf("%s %s: %w", m.Path, m.Version, err)
		}
		modules = append(modules, one)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot find Go's own folder: %w", err)
	}
	std := linkedModule{path: "std", version: programs[0].goVersion}
	if std.texts, std.licence, err = readLicences(strings.TrimSpace(string(root))); err != nil {
		return nil, fmt.Errorf("the standard library: %w", err)
	}
	return append(modules, std), nil
}
