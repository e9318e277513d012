// Command manual writes the manual pages of tokenctl and tokend, from what the
// built programs say of themselves: one page for tokenctl, one for each of its
// groups of commands, one for tokend and one for its configuration file.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tokenbridge/tokend/cmd/commandtree"
)

func main() {
	var m manual
	flag.StringVar(&m.bin, "bin", "bin", "the folder of the programs")
	flag.StringVar(&m.out, "out", "", "the folder to write to")
	flag.StringVar(&m.date, "date", "", "the date that the pages bear")
	flag.StringVar(&m.version, "version", "", "the version that the pages bear")
	flag.Parse()
	if err := m.write(); err != nil {
		fmt.Fprintf(os.Stderr, "manual: %v\n", err)
		os.Exit(1)
	}
}

type manual struct{ bin, out, date, version string }

func (m *manual) write() error {
	if err := os.MkdirAll(m.out, 0o755); err != nil {
		return err
	}
	ctl, err := m.describe("tokenctl")
	if err != nil {
		return err
	}
	daemon, err := m.describe("tokend")
	if err != nil {
		return err
	}
	sample, err := m.run("tokend", "config", "sample")
	if err != nil {
		return err
	}
	if err := m.save("tokenctl", "1", m.overview(ctl)); err != nil {
		return err
	}
	for _, c := range ctl.Commands {
		if err := m.save(pageName(c), "1", m.group(c, ctl.Flags)); err != nil {
			return err
		}
	}
	if err := m.save("tokend", "8", m.daemon(daemon)); err != nil {
		return err
	}
	return m.save("tokend.toml", "5", m.configuration(string(sample)))
}

func (m *manual) run(program string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.Command(filepath.Join(m.bin, program), args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, stderr.String())
	}
	return out, nil
}

func (m *manual) describe(program string) (commandtree.Command, error) {
	out, err := m.run(program, commandtree.Name)
	if err != nil {
		return commandtree.Command{}, err
	}
	var c commandtree.Command
	if err := json.Unmarshal(out, &c); err != nil {
		return c, fmt.Errorf("what %s says of itself: %w", program, err)
	}
	if len(c.Commands) == 0 {
		return c, fmt.Errorf("%s names no commands", program)
	}
	return c, nil
}

// pageName is what the page of a command is called: tokenctl-account.
func pageName(c commandtree.Command) string { return strings.ReplaceAll(c.Path, " ", "-") }

func (m *manual) begin(name, section, short string) *page {
	p := new(page)
	p.header(name, section, m.date, m.version)
	p.section("Name")
	p.line(`%s \- %s`, roman(name, true), prose(lower(short)))
	return p
}

func (m *manual) save(name, section string, p *page) error {
	return os.WriteFile(filepath.Join(m.out, name+"."+section), []byte(p.b.String()), 0o600)
}

// lower makes the first word of a sentence one in its middle.
func lower(s string) string {
	if len(s) > 1 && s[1] >= 'a' && s[1] <= 'z' {
		return strings.ToLower(s[:1]) + s[1:]
	}
	return s
}
