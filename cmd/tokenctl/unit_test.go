package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// Every kind of error has advice of its own, on one line each, without the
// full stop that would end up in a copied command.
func TestAdviceCoversEveryKind(t *testing.T) {
	general := fmt.Sprint(advise(&ipc.Error{Kind: ipc.Internal}))
	for _, k := range ipc.Kinds() {
		a := advise(&ipc.Error{Kind: k.Kind})
		if len(a) == 0 {
			t.Errorf("%s: no advice", k.Kind)
		}
		if k.Kind != ipc.Internal && fmt.Sprint(a) == general {
			t.Errorf("%s: only the advice for an unknown error", k.Kind)
		}
		for _, line := range a {
			if line == "" || strings.Contains(line, "\n") || strings.HasSuffix(line, ".") {
				t.Errorf("%s: %q", k.Kind, line)
			}
		}
	}
	if a := advise(&ipc.Error{Kind: "from-the-future"}); len(a) == 0 {
		t.Error("no advice for an unknown kind")
	}
}

// Advice names commands: each has to exist, with its flags.
func TestAdviceNamesCommandsThatExist(t *testing.T) {
	source, err := os.ReadFile("advice.go")
	if err != nil {
		t.Fatal(err)
	}
	// What is put in while running stands for one word.
	joined := regexp.MustCompile(`(?: ?" \+ [^"`+"`"+`]* \+ ")`).ReplaceAllString(string(source), " X")
	found := 0
	for _, m := range regexp.MustCompile("`tokenctl ([^`]*)`").FindAllStringSubmatch(joined, -1) {
		words := strings.Fields(m[1])
		cmd, rest, err := newCLI().root(nil).Find(words)
		if words[0] != "help" && (err != nil || cmd.Name() == "tokenctl") {
			t.Errorf("there is no %q", m[1])
			continue
		}
		for _, w := range rest {
			if name, ok := strings.CutPrefix(w, "--"); ok && cmd.Flags().Lookup(name) == nil {
				t.Errorf("%q: no flag --%s", m[1], name)
			}
		}
		found++
	}
	if found < 20 {
		t.Fatalf("only %d commands were found in advice.go", found)
	}
}

// Every kind travels to the exit code of the table, and into the document.
func TestExitCodes(t *testing.T) {
	for _, k := range ipc.Kinds() {
		var out, errOut bytes.Buffer
		c := &cli{out: &out, err: &errOut, json: true}
		got := c.report(context.Background(), fail("do it", &ipc.Error{Kind: k.Kind, Message: "as ordered"}))
		if got != k.Exit {
			t.Errorf("%s: exit code %d, not %d", k.Kind, got, k.Exit)
		}
		if !strings.HasPrefix(errOut.String(), "tokenctl: cannot do it: as ordered\n  ") {
			t.Errorf("%s: %q", k.Kind, errOut.String())
		}
		if !strings.HasPrefix(out.String(), `{"version":1,"error":{"kind":"`+string(k.Kind)+`"`) {
			t.Errorf("%s: %q", k.Kind, out.String())
		}
	}
}

func TestFileErrorsHaveKinds(t *testing.T) {
	for err, want := range map[error]ipc.Kind{
		fs.ErrNotExist: ipc.NotFound, fs.ErrExist: ipc.AlreadyExists, fs.ErrPermission: ipc.NotAuthorized, errors.New("x"): ipc.Internal,
	} {
		if got := ipc.KindOf(fileFailure("read", &fs.PathError{Op: "open", Path: "p", Err: err})); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
}

// In a graphical session what is missing is a program; elsewhere no program
// helps.
func TestNoClipboard(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	for display, want := range map[string]string{":9": "install wl-clipboard", "": "--copy=terminal"} {
		c := newCLI()
		c.getenv = func(name string) string { return map[string]string{"DISPLAY": display}[name] }
		_, err := c.findClipboard()
		var errOut bytes.Buffer
		c.err = &errOut
		if c.report(context.Background(), err); !strings.Contains(errOut.String(), want) || strings.Contains(errOut.String(), "install") != (display != "") {
			t.Errorf("DISPLAY=%s: %s", display, errOut.String())
		}
	}
}

// Other commands take ids, so that a part of one is of no use.
func TestIDsAreNotCut(t *testing.T) {
	tab := &table{head: []string{"ACCOUNT", "CLASS", "ID"}}
	id := strings.Repeat("0123456789abcdef", 2)
	tab.add("a rather long name of an account", "session", id)
	for _, screen := range []int{0, 20, 40, 60, 80} {
		got := strings.Join(tab.lines(screen), "\n")
		if !strings.Contains(got, id) || screen >= 40 && widest(got) > screen {
			t.Errorf("%d columns:\n%s", screen, got)
		}
	}
}

// What cobra says of flags is put into plain words.
func TestFlagErrors(t *testing.T) {
	for _, x := range []struct{ want, args string }{
		{"only one can be given of --qr, --secret-file", "account add --secret-file a --qr b"},
		{"one is needed of --to, --before, --after, --first, --last", "account move x"},
		{`invalid argument "abc" for "--min-remaining": not such a number`, "code x --min-remaining abc"},
		{`invalid argument "100y" for "--valid": not such a time; write it as 90s, 15m, 8h or 30d`, "admin bypass create x --valid 100y"},
		{`invalid argument "-1h" for "--valid": not such a time`, "admin activation create x --account y --valid -1h"},
	} {
		var errOut bytes.Buffer
		c := newCLI()
		c.err, c.out = &errOut, &errOut
		if code := run(context.Background(), strings.Fields(x.args), c); code != 2 || !strings.Contains(errOut.String(), x.want) {
			t.Errorf("%s: %d, %s", x.args, code, errOut.String())
		}
	}
}

// Names and values are never cut: a fingerprint is there to be compared.
func TestPairsAreNotCut(t *testing.T) {
	tab := &table{head: []string{"", ""}, flexible: 1}
	print := strings.Repeat("0123456789abcdef", 4)
	tab.add("recovery password", "set 2026-05-04 12:00 (3 days ago)")
	tab.add("signed by", print)
	for screen, want := range map[int]string{
		0:  "recovery password  set 2026-05-04 12:00 (3 days ago)|signed by          " + print,
		90: "recovery password  set 2026-05-04 12:00 (3 days ago)|signed by          " + print,
		80: "recovery password  set 2026-05-04 12:00 (3 days ago)|signed by|  " + print,
		46: "recovery password  set 2026-05-04 12:00 (3|                   days ago)|signed by|  " + print,
		40: "recovery password|  set 2026-05-04 12:00 (3 days ago)|signed by|  " + print,
	} {
		if got := strings.Join(tab.pairs(screen), "|"); got != want {
			t.Errorf("%d columns: %s", screen, got)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":           "plain",
		"日本 é 👩\u200d💻":   "日本 é 👩\u200d💻",
		"a\x1b[31mb":      `a\x1b[31mb`,
		"line\nline\ttab": `line\x0aline\x09tab`,
		"\x7f":            `\x7f`,
		"\u0085":          `\x85`,
		"a\u202eb":        `a\u202eb`,
		"a\u2066b\u2069":  `a\u2066b\u2069`,
		"a\u200bb\ufeff":  `a\u200bb\ufeff`,
		"a\u2028b":        `a\u2028b`,
		"a\xffb":          `a\xffb`,
		"\U000e0041":      `\U000e0041`,
		"\ufffd":          "\ufffd",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31mb\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range clean(s) {
			if unsafeRune(r) {
				t.Fatalf("%q leaves %q", s, r)
			}
		}
	})
}

func TestColumnsAndTruncate(t *testing.T) {
	for s, want := range map[string]int{"abc": 3, "銀行": 4, "e\u0301": 1, "": 0, "😀": 2} {
		if got := columns(s); got != want {
			t.Errorf("%q has %d columns, not %d", s, got, want)
		}
	}
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{{"abcdef", 6, "abcdef"}, {"abcdef", 4, "abc…"}, {"銀行口座", 5, "銀行…"}, {"銀行口座", 4, "銀…"}, {"ab", 0, ""}, {"ab", 1, "…"}} {
		if got := truncate(c.in, c.n); got != c.want || columns(got) > c.n {
			t.Errorf("truncate(%q, %d) = %q, not %q", c.in, c.n, got, c.want)
		}
	}
}

func TestTableFitsTheScreen(t *testing.T) {
	tab := &table{head: []string{"#", "ACCOUNT", "TYPE"}, flexible: 1}
	tab.add("1", strings.Repeat("long ", 30), "id1")
	tab.add("2", "銀行:私", "id2")
	for screen := 9; screen < 200; screen += 7 {
		got := strings.Join(tab.lines(screen), "\n")
		if widest(got) > screen || strings.Count(got, "long") != 30 {
			t.Fatalf("on a screen of %d:\n%s", screen, got)
		}
	}
	tab.oneLine = true
	got := tab.lines(40)
	if len(got) != 3 || !strings.HasSuffix(got[1], "…  id1") || !strings.HasSuffix(got[2], "  id2") {
		t.Fatalf("one line a row: %q", got)
	}
}

// widest is how many columns the widest line takes.
func widest(lines string) int {
	n := 0
	for _, l := range strings.Split(lines, "\n") {
		n = max(n, columns(l))
	}
	return n
}

// What tells the rows of a table apart is whole at 80 columns, and what others
// than a person use stands on a line.
func TestTablesAreWholeOnAScreen(t *testing.T) {
	const path = "/media/somebody/a-stick/tokend-ab12cd34-laptop-1a2b-20261129T000000Z.tokend"
	for _, c := range []struct {
		t     *table
		row   []string
		lines []string
	}{
		{&table{head: []string{"MADE", "ACCOUNTS", "OPENED", "PROVED", "COPIES", "OPENS WITH"}, flexible: 4, below: []int{5, 4, 3}},
			[]string{"2026-11-29 00:29:51", "12", "2026-11-29", "2026-11-29 by software token", "only in the daemon's folder", "software token, recovery password"},
			[]string{"2026-11-29 00:29:51  12", "only in the daemon's folder", "software token, recovery password"}},
		{&table{head: []string{"#", "FILE", "WRITTEN", "VAULT", "DEVICE", "SIZE", "STATE"}, flexible: 6, below: []int{1, 6, 4}},
			[]string{"1", path, "2026-11-29 00:29", "ab12cd34 (yours)", "laptop (1a2b)", "12 kB", "whole"},
			[]string{"1  2026-11-29 00:29  ab12cd34 (yours)  laptop (1a2b)  12 kB  whole", "   " + path}},
		{&table{head: []string{"ITEM", "ACTION", "ACCOUNT", "WHY"}, flexible: 2, below: []int{3}},
			[]string{"1", "conflict", "An issuer with a long name:somebody@example.com", "another secret is there; 8 digits, 6 there; called deno there"},
			[]string{"1     conflict  An issuer with a long name:somebody@example.com", "      another secret is there; 8 digits, 6 there; called deno there"}},
		{&table{head: []string{"ID", "NAME", "STATE", "ACCOUNTS", "FIRST", "LAST"}, flexible: 1, below: []int{4, 5}},
			[]string{"000102030405060708090a0b0c0d0e0f", "laptop", "active", "vpn, wiki", "2026-11-29 16:47 (12 min 3 s ago)", "2026-11-29 16:59 (3 s ago)"},
			[]string{"000102030405060708090a0b0c0d0e0f  laptop  active  vpn, wiki\n    first: 2026-11-29 16:47 (12 min 3 s ago)\n    last: 2026-11-29 16:59 (3 s ago)"}},
		{&table{head: []string{"ID", "ACCOUNT", "STATE", "MADE", "EXPIRES", "BY", "DEVICE"}, flexible: 1, below: []int{6, 4, 3}},
			[]string{"000102030405060708090a0b0c0d0e0f", "vpn", "used", "2026-11-29 16:47 (12 min 3 s ago)", "2026-11-30 16:47", "dora", "0f0e0d0c0b0a09080706050403020100"},
			[]string{"0e0f  vpn      used   dora\n    made: 2026-11-29 16:47 (12 min 3 s ago)\n    expires: 2026-11-30 16:47\n    device: 0f0e0d0c0b0a09080706050403020100"}},
		{&table{head: []string{"VERIFIER", "SERVER", "FACTORS", "SET UP", "FAILED", "PROBLEM"}, flexible: 5, below: []int{5, 3, 4}},
			[]string{"radius", "radius1.example.org:1812", "fob", "2026-11-29 16:47 (12 min 3 s ago)", "2026-11-29 16:59 (3 s ago)", "no answer within 5s"},
			[]string{"radius1.example.org:1812  fob", "set up: 2026-11-29 16:47 (12 min 3 s ago)"}},
		{&table{head: []string{"SERIAL", "TYPE", "STATE", "USERS", "USED", "MODEL"}, flexible: 5},
			[]string{"10001", "hotp", "active", "alice, bob, carol, dora, erna, frieda, gustav, hans", "2026-11-29 16:47", "Example, Fob"},
			[]string{"2026-11-29 16:47"}},
		{&table{head: []string{"TOKEN", "KIND", "ENROLLED", "PRESENT", "CLASSES", "ID"}},
			[]string{"software token (software token, not hardware)", "soft", "enrolled", "present", "session,touch", "soft-0123456789"},
			[]string{"software token  ", "session,touch  soft-0123456789"}},
	} {
		c.t.add(c.row...)
		got := strings.Join(c.t.lines(80), "\n")
		if widest(strings.ReplaceAll(got, path, "")) > 80 || strings.Contains(got, "…") {
			t.Errorf("wider than 80, or cut:\n%s", got)
		}
		for _, want := range c.lines {
			if !strings.Contains(got, want) {
				t.Errorf("there is no %q:\n%s", want, got)
			}
		}
	}
}

// A grant's program is whole, and no column is shown in which nothing stands.
func TestGrantTable(t *testing.T) {
	const path = "/home/somebody/.local/share/a-program/with/a/long/path/that/is/its/own/bin/backup-uploader"
	g := ipc.Grant{ID: "ABCDEFGHIJKL", Action: ipc.GrantCode, Account: ipc.AccountRef{Issuer: "Example", Name: "somebody@example.com"}, For: ipc.GrantToLock, Uses: 12,
		Requester: ipc.Requester{Program: "backup-uploader", PID: 7, Exe: path}}
	for _, c := range []struct {
		unit, terminal string
		leader         int
		where          string
	}{
		{"", "", 0, ""},
		{"vte-spawn-1.scope", "", 0, "unit: vte-spawn-1.scope"},
		{"", "pts/3", 4711, "place: pts/3, session of process 4711"},
		{"", "", 4711, "place: session of process 4711"},
	} {
		g.Requester.Unit, g.Requester.Terminal, g.Requester.Leader = c.unit, c.terminal, c.leader
		lines := grantTable([]ipc.Grant{g}, time.Time{}, true).lines(80)
		got := strings.Join(lines, "\n")
		if head := strings.Join(strings.Fields(lines[0]), " "); head != "ACCOUNT FOR HOLDS USES ID" || strings.Contains(got, "…") || !strings.Contains(strings.Join(strings.Fields(got), ""), path) || !strings.Contains(got, c.where) {
			t.Errorf("%+v:\n%s", c, got)
		}
		if len(grantTable([]ipc.Grant{g}, time.Time{}, false).rows[0]) != 7 {
			t.Errorf("%+v: another number of fields in a pipe", c)
		}
	}
	g.Requester.Exe = "/usr/bin/curl"
	if got := grantTable([]ipc.Grant{g, g}, time.Time{}, true).lines(0); len(got) != 3 || !strings.Contains(got[0], "PLACE") {
		t.Errorf("%q", got)
	}
}

// No line of any help is longer than a terminal's.
func TestHelpFitsTheScreen(t *testing.T) {
	help, err := os.ReadFile("testdata/help.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(string(help), "\n") {
		if columns(l) > helpWidth {
			t.Errorf("%d columns: %s", columns(l), l)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0 s", 29 * time.Second: "29 s", time.Minute: "1 min", 598 * time.Second: "9 min 58 s",
		12 * time.Hour: "12 h", 90 * time.Minute: "1 h 30 min", 72 * time.Hour: "3 days",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %q, not %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "less than a second", 999 * time.Millisecond: "less than a second", time.Second: "1 s", 1600 * time.Millisecond: "2 s"} {
		if got := validFor(d); got != want {
			t.Errorf("%v: %q, not %q", d, got, want)
		}
	}
	for n, want := range map[int]string{1: "1 try", 2: "2 tries"} {
		if got := plural(n, "try"); got != want {
			t.Errorf("%q", got)
		}
	}
	if got := plural(3, "key") + plural(2, "address"); got != "3 keys2 addresses" {
		t.Errorf("%q", got)
	}
}

// A software token is called so once, whether it has a name of its own or not.
func TestSoftwareTokenLabel(t *testing.T) {
	for label, want := range map[string]string{"software token": "software token, not hardware", "spare": "spare (software token, not hardware)"} {
		if got := tokenLabel(ipc.Token{Kind: "soft", Label: label, Enrolled: true}); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestLocksText(t *testing.T) {
	now := time.Unix(1000, 0)
	for want, v := range map[string]ipc.Vault{
		"only on request":                        {},
		"in 10 min if idle, in 12 h in any case": {IdleLock: now.Add(10 * time.Minute), HardLock: now.Add(12 * time.Hour)},
		"in 1 min":                               {IdleLock: now.Add(10 * time.Minute), HardLock: now.Add(time.Minute)},
		"in 10 min if idle":                      {IdleLock: now.Add(10 * time.Minute)},
	} {
		if got := locksText(v, now); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestAnnouncement(t *testing.T) {
	tok := &ipc.TokenRef{ID: "x", Label: "Key\x1b"}
	for want, e := range map[string]ipc.Event{
		`touch Key\x1b for A:b`:                     {Type: ipc.EventTouchWanted, Token: tok, Account: &ipc.AccountRef{Issuer: "A", Name: "b"}, Requester: "tokenctl"},
		`touch Key\x1b`:                             {Type: ipc.EventTouchWanted, Token: tok, Requester: "vpn"},
		`waiting for Key\x1b, place 2 in its queue`: {Type: ipc.EventTokenWaiting, Token: tok, Place: 2},
		"": {Type: ipc.EventAccountAdded},
	} {
		if got := announcement(e); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// What is drawn can be read again, in both colours of terminal.
func TestQRRoundTrip(t *testing.T) {
	const uri = "otpauth://totp/Example:alice@example.com?secret=JBSWY3DPEHPK3PXP&issuer=Example"
	lines, err := drawQR(uri, false)
	if err != nil {
		t.Fatal(err)
	}
	const scale = 4
	img := image.NewGray(image.Rect(0, 0, scale*columns(lines[0]), scale*2*len(lines)))
	for i := range img.Pix {
		img.Pix[i] = 255
	}
	for row, line := range lines {
		col := 0
		for _, r := range line {
			for half := range 2 {
				if r == '█' || r == '▀' && half == 0 || r == '▄' && half == 1 {
					for i := range scale * scale {
						img.SetGray(col*scale+i%scale, (2*row+half)*scale+i/scale, color.Gray{})
					}
				}
			}
			col++
		}
	}
	if got := scan(img); len(got) != 1 || got[0] != uri {
		t.Fatalf("read back: %q", got)
	}
	coloured, err := drawQR(uri, true)
	if err != nil || stripColour(coloured[0]) != lines[0] || !strings.HasPrefix(coloured[0], blackOnWhite) {
		t.Fatalf("coloured: %q, %v", coloured[0], err)
	}
	for _, edge := range []string{lines[0], lines[1], lines[len(lines)-1]} {
		if strings.TrimSpace(edge) != "" {
			t.Fatalf("no quiet zone: %q", edge)
		}
	}
}

// An inverted picture (a dark theme) is read, too.
func TestQRInverted(t *testing.T) {
	img, _, err := image.Decode(bytes.NewReader(qrPicture(t, "otpauth://totp/A:b?secret=GEZDGNBVGY3TQOJQ")))
	if err != nil {
		t.Fatal(err)
	}
	g := img.(*image.Gray)
	for i := range g.Pix {
		g.Pix[i] = 255 - g.Pix[i]
	}
	if got := scan(g); len(got) != 1 {
		t.Fatalf("%q", got)
	}
}

// A picture that claims to be huge is refused before it is unpacked.
func TestQRBomb(t *testing.T) {
	b := qrPicture(t, "otpauth://x")
	b[16], b[17], b[20], b[21] = 0x7f, 0xff, 0x7f, 0xff
	if _, err := readQR(b); err == nil {
		t.Fatal("taken")
	}
}

func FuzzReadQR(f *testing.F) {
	whole := qrPicture(f, "otpauth://totp/A:b?secret=GEZDGNBVGY3TQOJQ")
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("\xff\xd8\xff\xe0JFIF"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		text, err := readQR(b)
		if err == nil && !isURI(text) {
			t.Fatalf("took %q", text)
		}
		if err != nil && ipc.KindOf(err) == ipc.Internal {
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}

func FuzzFromURIs(f *testing.F) {
	f.Add("otpauth://totp/A:b?secret=GEZDGNBVGY3TQOJQ\n\notpauth-migration://offline?data=x")
	f.Fuzz(func(t *testing.T, s string) {
		list, err := (&addFlags{}).fromURIs(strings.Split(s, "\n"))
		if (err == nil) == (len(list) == 0) {
			t.Fatalf("%d accounts, %v", len(list), err)
		}
	})
}

// A file is never overwritten, not even one that appears in the last moment,
// and nothing is left lying about.
func TestWriteNew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	if err := writeNew(path, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := writeNew(path, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("a second time: %v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil || string(b) != "one" {
		t.Fatalf("%q, %v", b, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("left in the folder: %v, %v", entries, err)
	}
}

func TestSafeName(t *testing.T) {
	for in, want := range map[string]string{"a.tokend": "a.tokend", "../../etc/passwd": "passwd", `..\..\x`: "x", "": "vault-backup.tokend", "..": "vault-backup.tokend", "/": "vault-backup.tokend"} {
		if got := safeName(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

// Every command has help that a person can use, and no flag takes a secret
// itself: the name of such a flag ends in -file.
func TestHelpAndFlags(t *testing.T) {
	n := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		n++
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: %q", cmd.CommandPath(), cmd.Short)
		}
		for _, line := range strings.Split(cmd.Long+"\n"+cmd.Example, "\n") {
			if len(line) > 100 {
				t.Errorf("%s: a line of %d", cmd.CommandPath(), len(line))
			}
		}
		for _, secret := range []string{"pin", "password", "recovery-password", "recovery-key", "secret", "uri-text", "management-key", "puk-text"} {
			if f := cmd.Flags().Lookup(secret); f != nil && f.Value.Type() != "bool" {
				t.Errorf("%s takes a secret as --%s", cmd.CommandPath(), secret)
			}
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	walk(newCLI().root(nil))
	if n < 40 {
		t.Fatalf("only %d commands", n)
	}
}

// The help text of every command, as it stands. UPDATE_GOLDEN=1 writes it anew.
func TestGoldenHelp(t *testing.T) {
	var got bytes.Buffer
	var walk func(path []string, cmd *cobra.Command)
	walk = func(path []string, cmd *cobra.Command) {
		var out bytes.Buffer
		c := newCLI()
		c.out, c.err = &out, &out
		if code := run(context.Background(), append(path, "--help"), c); code != 0 {
			t.Errorf("%v --help ends with %d", path, code)
		}
		fmt.Fprintf(&got, "==== tokenctl %s\n%s\n", strings.Join(path, " "), out.String())
		for _, child := range cmd.Commands() {
			if !child.Hidden {
				walk(append(path[:len(path):len(path)], child.Name()), child)
			}
		}
	}
	walk(nil, newCLI().root(nil))
	const golden = "testdata/help.txt"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the help differs from %s; UPDATE_GOLDEN=1 writes it anew, then look at the difference", golden)
	}
}

// An export that cannot be read back does not stay: it can hold secrets in the clear.
func TestUnreadableExportIsRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "export.txt")
	if err := os.WriteFile(path, []byte("otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cli{err: io.Discard}
	if err := c.checkWritten(t.Context(), nil, nil, path, filepath.Join(filepath.Dir(path), "gone")); err == nil {
		t.Error("a file that is gone was read back")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the export is still there: %v", err)
	}
}
