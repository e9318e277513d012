package main

import (
	"strings"

	"github.com/tokenbridge/tokend/cmd/commandtree"
)

// overview is the page of tokenctl itself.
func (m *manual) overview(c commandtree.Command) *page {
	p := m.begin("tokenctl", "1", c.Short)
	p.section("Synopsis")
	p.line(".B tokenctl")
	p.line(".I command")
	p.line(".RI [ flags ]")
	p.section("Description")
	long, codes, _ := strings.Cut(c.Long, "\n\nExit codes:")
	p.text(long)
	p.section("Commands")
	for _, sub := range c.Commands {
		p.item(`\fB`+roman(pageName(sub), true)+`\fR(1)`, sub.Short+".")
	}
	p.section("Options")
	p.flags(c.Flags)
	p.section("Environment")
	p.item(`\fBTOKEND_SOCKET\fR`, "The daemon's socket, where --socket names none. Without both the user's own daemon is tried, then the system's.")
	p.item(`\fBNO_COLOR\fR, \fBTERM\fR`, "What a terminal is shown.")
	p.section("Files")
	p.item(`\fI$XDG_RUNTIME_DIR/tokend/tokend.sock\fR`, "The socket of the user's own daemon.")
	p.item(`\fI/run/tokend/tokend.sock\fR`, "The socket of the system's daemon.")
	if codes != "" {
		p.section("Exit status")
		p.exitCodes(codes)
	}
	names := []string{`\fBtokend\fR(8)`}
	for _, sub := range c.Commands {
		names = append(names, `\fB`+roman(pageName(sub), true)+`\fR(1)`)
	}
	p.seeAlso(names...)
	return p
}

// exitCodes makes a list of "0 done; 2 wrong command line; …".
func (p *page) exitCodes(text string) {
	for _, one := range strings.Split(strings.TrimSuffix(strings.TrimSpace(text), "."), ";") {
		code, meaning, _ := strings.Cut(strings.Join(strings.Fields(one), " "), " ")
		p.item(`\fB`+code+`\fR`, strings.ToUpper(meaning[:1])+meaning[1:]+".")
	}
}

// group is the page of a command and all below it.
func (m *manual) group(c commandtree.Command, global []commandtree.Flag) *page {
	p := m.begin(pageName(c), "1", c.Short)
	all := flat(c)
	p.section("Synopsis")
	p.line(".nf")
	for _, one := range all {
		if len(one.Commands) == 0 {
			p.line(`\fB%s\fR`, escaped(one.Line))
		}
	}
	p.line(".fi")
	p.section("Description")
	p.text(said(c))
	if len(c.Flags) > 0 {
		p.section("Options")
		p.flags(c.Flags)
	}
	if len(all) > 1 {
		p.section("Commands")
		for _, one := range all[1:] {
			p.command(one)
		}
	}
	if c.Example != "" {
		p.section("Examples")
		p.literal(strings.Split(strings.Trim(c.Example, "\n"), "\n"))
	}
	p.section("Global options")
	p.flags(global)
	p.seeAlso(`\fBtokenctl\fR(1)`, `\fBtokend\fR(8)`)
	return p
}

// command is a command among others of its group.
func (p *page) command(c commandtree.Command) {
	p.subsection(c.Line)
	p.text(said(c))
	if len(c.Aliases) > 0 {
		p.line(".PP")
		p.line("%s", prose("Also called "+strings.Join(c.Aliases, ", ")+"."))
	}
	p.flags(c.Flags)
	if c.Example != "" {
		p.line(".PP")
		p.literal(strings.Split(strings.Trim(c.Example, "\n"), "\n"))
	}
}

func (p *page) flags(flags []commandtree.Flag) {
	for _, f := range flags {
		term := `\fB\-\-` + roman(f.Name, true) + `\fR`
		if f.Shorthand != "" {
			term = `\fB\-` + f.Shorthand + `\fR, ` + term
		}
		if f.Value != "" {
			term += ` \fI` + roman(f.Value, true) + `\fR`
		}
		usage := strings.ToUpper(f.Usage[:1]) + f.Usage[1:]
		if f.Default != "" {
			usage += " (default " + f.Default + ")"
		}
		p.item(term, usage+".")
	}
}

func (p *page) seeAlso(names ...string) {
	p.section("See also")
	for i, n := range names {
		if i < len(names)-1 {
			n += ","
		}
		p.line("%s", n)
	}
}

// daemon is the page of tokend.
func (m *manual) daemon(c commandtree.Command) *page {
	p := m.begin("tokend", "8", c.Short)
	p.section("Synopsis")
	p.line(".nf")
	for _, one := range flat(c)[1:] {
		if len(one.Commands) == 0 {
			p.line(`\fB%s\fR`, escaped(one.Line))
		}
	}
	p.line(".fi")
	p.section("Description")
	p.text(`Tokend keeps the vaults of two-factor accounts, opens them with hardware tokens, and makes codes. Programs
ask it over a socket and D-Bus; people use tokenctl. As the system's daemon it serves every user of the machine, each
with a vault of his own; as a user's own daemon it serves that user.

What touches a device runs in tokend-helper, a program of its own that does one operation and ends.`)
	p.section("Commands")
	for _, one := range flat(c)[1:] {
		if len(one.Commands) == 0 {
			p.command(one)
		}
	}
	p.section("Files")
	p.item(`\fI/etc/tokend/tokend.toml\fR`, "The configuration of the system's daemon; it need not be there.")
	p.item(`\fI/var/lib/tokend\fR`, "The vaults that the system's daemon keeps.")
	p.item(`\fI/run/tokend/tokend.sock\fR`, "The socket of the system's daemon.")
	p.section("Signals")
	p.item(`\fBSIGHUP\fR`, "The configuration is read again.")
	p.seeAlso(`\fBtokenctl\fR(1)`, `\fBtokend.toml\fR(5)`)
	return p
}

// configuration is the page of tokend.toml: the sample, which has every setting.
func (m *manual) configuration(sample string) *page {
	p := m.begin("tokend.toml", "5", "configuration of tokend")
	p.section("Description")
	p.text(`The system's daemon reads /etc/tokend/tokend.toml when it is there, a user's own daemon tokend/tokend.toml in
$XDG_CONFIG_HOME or ~/.config. It is TOML, read strictly: what tokend does not know it refuses, with the line.

This is the sample that tokend config sample prints. Each setting stands with its default; tokend config check
says whether a file is right.`)
	p.section("Settings")
	p.literal(strings.Split(strings.Trim(sample, "\n"), "\n"))
	p.seeAlso(`\fBtokend\fR(8)`)
	return p
}

// said is what is said of a command: the long text, or else the short one.
func said(c commandtree.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short + "."
}

// flat is a command and all below it, in their order.
func flat(c commandtree.Command) []commandtree.Command {
	all := []commandtree.Command{c}
	for _, sub := range c.Commands {
		all = append(all, flat(sub)...)
	}
	return all
}
