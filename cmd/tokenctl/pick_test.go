package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tokenbridge/tokend/cmd/internal/vt"
	"github.com/tokenbridge/tokend/ipc"
)

// keySeeds are keys as terminals send them, and bytes that no key sends.
var keySeeds = map[string]string{
	"\x1b[A": "up", "\x1bOA": "up", "\x10": "up", "\x1b[1;5A": "up", "\x1b[B": "down", "\x0e": "down",
	"\x1b[5~": "pgup", "\x1b[6~": "pgdn", "\x1b[6;2~": "pgdn", "\x1b[H": "home", "\x1b[1~": "home", "\x1bOH": "home", "\x1b[7~": "home",
	"\x1b[F": "end", "\x1b[4~": "end", "\x1b[8~": "end", "\r": "enter", "\n": "enter", "\x1bOM": "enter",
	"\x03": "quit", "\x04": "eof", "\x15": "all", "\x17": "word", "\x7f": "erase", "\x08": "erase", "\x0c": "redraw", "\x1a": "suspend",
	"a": "a", " ": "' '", "é": "é", "私": "私", "\u0301": "\u0301",
	"\x1b\x1b[A": "esc up", "\x1bx": "", "\x1bé": "", "\x1b[[A": "", "\x1b[200~x\x1b[201~": "x", "\x1b[<0;3;4M": "enter",
	"\x1b[1;2;3\x03": "quit", "\xffa": "a", "\u202ea": "a", "\x1b[3~": "", "\x00\x01": "", "\u0085": "",
	"\x1b[" + strings.Repeat("1;", 40): "", "ab\x1b[Bc": "a b down c",
}

var keyNames = map[keyKind]string{keyEnter: "enter", keyEsc: "esc", keyQuit: "quit", keyEOF: "eof", keyUp: "up", keyDown: "down", keyPageUp: "pgup",
	keyPageDown: "pgdn", keyHome: "home", keyEnd: "end", keyErase: "erase", keyEraseWord: "word", keyEraseAll: "all", keyRedraw: "redraw", keySuspend: "suspend"}

func namesOf(keys []key) string {
	var names []string
	for _, k := range keys {
		name := keyNames[k.kind]
		if k.kind == keyText {
			name = strings.Replace(string(k.text), " ", "' '", 1)
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// Keys are known whether their bytes come at once or one by one.
func TestKeys(t *testing.T) {
	for sent, want := range keySeeds {
		if strings.HasPrefix(sent, "\x1b[1;1;") || strings.HasPrefix(sent, "\x1b[<") {
			continue // for the fuzzer: what of it is dropped is of no matter
		}
		var whole keyReader
		if got := namesOf(whole.feed([]byte(sent))); got != want || whole.waiting() {
			t.Errorf("%q: %q, not %q", sent, got, want)
		}
		var one keyReader
		var keys []key
		for i := range len(sent) {
			keys = append(keys, one.feed([]byte{sent[i]})...)
		}
		if got := namesOf(keys); got != want {
			t.Errorf("%q byte by byte: %q, not %q", sent, got, want)
		}
	}
	var k keyReader
	if got := k.feed([]byte("\x1b")); got != nil || !k.waiting() || namesOf(k.flush()) != "esc" || k.waiting() {
		t.Error("Esc alone is not known when nothing follows")
	}
	if k.feed([]byte("\x1b[1")); k.flush() != nil || k.waiting() {
		t.Error("half a key does something")
	}
}

func FuzzKeys(f *testing.F) {
	n := 0
	for sent := range keySeeds {
		f.Add([]byte(sent))
		n++
	}
	if n == 0 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var whole, one keyReader
		keys := whole.feed(b)
		var each []key
		for _, c := range b {
			each = append(each, one.feed([]byte{c})...)
		}
		if !reflect.DeepEqual(keys, each) && len(keys)+len(each) > 0 {
			t.Errorf("%q at once %v, byte by byte %v", b, keys, each)
		}
		for _, k := range keys {
			if k.kind == keyText && (unsafeRune(k.text) || !utf8.ValidRune(k.text)) {
				t.Errorf("%q types %q", b, k.text)
			}
		}
		if len(whole.pending) > maxSequence+1 {
			t.Errorf("%d bytes are kept", len(whole.pending))
		}
		whole.flush()
		if whole.waiting() {
			t.Error("it waits for more for ever")
		}
	})
}

func listOf(names ...string) *pickList {
	l := &pickList{}
	var accounts []ipc.Account
	for i, n := range names {
		issuer, name, _ := strings.Cut(n, ":")
		accounts = append(accounts, ipc.Account{ID: fmt.Sprint("id", i), Issuer: issuer, Name: name, Class: "session", Type: "totp", Digits: 6})
	}
	l.set(accounts)
	return l
}

func (l *pickList) names() string {
	var all []string
	for i, at := range l.matches {
		mark := ""
		if i == l.selected {
			mark = ">"
		}
		all = append(all, mark+l.items[at].name)
	}
	return strings.Join(all, " ")
}

func typing(l *pickList, s string) {
	for _, r := range s {
		l.press(key{kind: keyText, text: r})
	}
}

func TestFilter(t *testing.T) {
	l := listOf("GitHub:me", "GitLab:me", "Cafe\u0301:Ünal", "銀行:私", "ＡＷＳ:x")
	for _, c := range []struct{ filter, want string }{
		{"", ">GitHub:me GitLab:me Cafe\u0301:Ünal 銀行:私 ＡＷＳ:x"},
		{"GIT", ">GitHub:me GitLab:me"},
		{"me git", ">GitHub:me GitLab:me"},
		{"  lab ", ">GitLab:me"},
		{"café", ">Cafe\u0301:Ünal"},
		{"cafe unal", ">Cafe\u0301:Ünal"},
		{"私", ">銀行:私"},
		{"aws", ">ＡＷＳ:x"},
		{"nothing", ""},
	} {
		l.press(key{kind: keyEraseAll})
		l.press(key{kind: keyHome})
		if typing(l, c.filter); l.names() != c.want {
			t.Errorf("%q finds %s, not %s", c.filter, l.names(), c.want)
		}
	}
	l.press(key{kind: keyEraseAll})
	typing(l, "git la")
	if l.press(key{kind: keyErase}); l.filter != "git l" {
		t.Errorf("%q after one character was taken back", l.filter)
	}
	if l.press(key{kind: keyEraseWord}); l.filter != "git " {
		t.Errorf("%q after a word was", l.filter)
	}
	l.press(key{kind: keyEraseWord})
	if l.press(key{kind: keyErase}); l.filter != "" {
		t.Errorf("%q after all was", l.filter)
	}
	typing(l, "e\u0301")
	if l.press(key{kind: keyErase}); l.filter != "" {
		t.Errorf("%q: half a character was taken back", l.filter)
	}
	typing(l, strings.Repeat("x", 5000))
	if len(l.filter) != maxFilter {
		t.Errorf("a filter of %d characters", len(l.filter))
	}
}

func TestMoving(t *testing.T) {
	l := listOf("a:", "b:", "c:", "d:", "e:", "f:", "g:")
	l.resize(3)
	for _, c := range []struct {
		keys          []keyKind
		selected, top int
	}{
		{nil, 0, 0}, {[]keyKind{keyUp}, 0, 0}, {[]keyKind{keyDown, keyDown, keyDown}, 3, 1}, {[]keyKind{keyPageDown}, 6, 4},
		{[]keyKind{keyDown, keyPageDown}, 6, 4}, {[]keyKind{keyUp, keyUp, keyUp}, 3, 3}, {[]keyKind{keyPageUp}, 0, 0}, {[]keyKind{keyEnd}, 6, 4},
		{[]keyKind{keyHome}, 0, 0}, {[]keyKind{keyEnd, keyUp}, 5, 4},
	} {
		for _, k := range c.keys {
			l.press(key{kind: k})
		}
		if l.selected != c.selected || l.top != c.top {
			t.Fatalf("%v: %d selected and %d at the top", c.keys, l.selected, l.top)
		}
	}
	// What is selected stays selected in another list, and on another screen.
	l.resize(100)
	if l.selected != 5 || l.top != 0 {
		t.Fatalf("on a large screen: %d, %d", l.selected, l.top)
	}
	accounts := []ipc.Account{{ID: "new"}}
	for _, it := range l.items {
		accounts = append(accounts, it.account)
	}
	l.set(accounts)
	if l.current().account.ID != "id5" {
		t.Fatalf("%s is selected", l.current().account.ID)
	}
	// Also where it was away meanwhile, as while the vault was locked.
	l.clear()
	for _, k := range []keyKind{keyUp, keyDown, keyPageUp, keyPageDown, keyHome, keyEnd, keyErase} {
		l.press(key{kind: k})
	}
	if l.current() != nil || len(l.visible()) != 0 {
		t.Fatal("something is selected of nothing")
	}
	l.want = "id2"
	if l.set(accounts); l.current().account.ID != "id2" {
		t.Fatalf("%s is selected", l.current().account.ID)
	}
}

func viewOf(l *pickList, now time.Time) *pickView {
	return &pickView{list: l, now: now, keys: []string{"Enter: copy", "Esc: leave"}}
}

// shows is a frame as a terminal shows it.
func shows(f *frame) *vt.Terminal {
	x := vt.New(f.w, f.h)
	_, _ = x.Write([]byte("\x1b[?7l"))
	_, _ = x.Write(frameChanges(nil, nil, f))
	return x
}

func TestView(t *testing.T) {
	now := time.Unix(1000, 0)
	l := listOf("GitHub:me", "銀行:私", "Bank:me", "VPN:me", "AWS:somebody@production.example.com")
	l.items[0].code = ipc.Code{Code: "123456", ValidUntil: now.Add(29 * time.Second)}
	l.items[0].copied = now.Add(time.Second)
	l.items[1].code = ipc.Code{Code: "654321", ValidUntil: now.Add(-2 * time.Second)}
	l.items[2].account.Class, l.items[3].account.Type = "touch", "hotp"
	l.items[4].code = ipc.Code{Code: "111111", ValidUntil: now.Add(5000 * time.Second)}
	for _, c := range []struct {
		w, h int
		note string
		want string
	}{
		{64, 7, "", `
Filter:                                               5 accounts
> GitHub:me                            123456   29 s  copied
  銀行:私                              …
  Bank:me                              touch
  VPN:me                               press Enter
  AWS:somebody@production.example.com  111111  83min
Enter: copy   Esc: leave`},
		{40, 5, "the code of GitHub:me is in the clipboard", `
Filter:                       5 accounts
> GitHub:me                123456   29 s
  銀行:私                  …
  Bank:me                  touch
the code of GitHub:me is in the …`},
		{30, 3, "", `
Filter:             5 accounts
> GitHub:me      123456   29 s
Enter: copy   Esc: leave`},
		{24, 2, "", `
Filter:       5 accounts
> GitHub:me       123456`},
		{22, 1, "", `
> GitHub:me     123456`},
		{20, 1, "said", `
said`},
	} {
		l.move(-10)
		v := viewOf(l, now)
		v.note = c.note
		if got := "\n" + shows(v.draw(c.w, c.h)).Text(); got != c.want {
			t.Errorf("%d×%d:%s\nnot%s", c.w, c.h, got, c.want)
		}
	}
	// A name that is cut is shown whole below.
	l.move(4)
	if got := shows(viewOf(l, now).draw(40, 6)).Text(); !strings.Contains(got, "> AWS:somebod…example.com  111111  83min\nAWS:somebody@production.example.com") {
		t.Errorf("the whole name is missing:\n%s", got)
	}
}

// hard are names that are hard to draw.
var hard = []string{"", "a", strings.Repeat("long ", 200), strings.Repeat("長", 300), "e" + strings.Repeat("\u0301", 500), "\u0301", "👨\u200d👩\u200d👧 x",
	"\x1b[31mred", "a\nb", "\xff\xfe", "مرحبا", "한국어", "ﷺ", "\u200d"}

// No size and no name is too much, nothing is drawn beside the screen, and the
// cursor stays on it.
func TestViewOfAnySize(t *testing.T) {
	now := time.Unix(1000, 0)
	l := listOf(hard...)
	for i := range l.items {
		l.items[i].code = ipc.Code{Code: "12345678", ValidUntil: now.Add(time.Duration(i) * time.Second)}
	}
	for w := 0; w < 90; w++ {
		for h := 0; h < 20; h++ {
			for _, note := range []string{"", "short", strings.Repeat("a note of some length ", 40), strings.Repeat("長", 200)} {
				l.move(1 - l.selected%2*2)
				v := viewOf(l, now)
				v.note = note
				if l.filter = ""; w%3 == 0 {
					l.filter = hard[w%len(hard)]
				}
				f := v.draw(w, h)
				if f.w != max(1, w) || f.h != max(1, h) || f.curX < 0 || f.curX >= f.w || f.curY < 0 || f.curY >= f.h {
					t.Fatalf("%d×%d: a frame of %d×%d with the cursor at %d, %d", w, h, f.w, f.h, f.curX, f.curY)
				}
				if s := shows(f).State(); len(s.Unknown) > 0 || len(s.History) > 0 {
					t.Fatalf("%d×%d: %+v", w, h, s)
				}
			}
		}
	}
}

// What is sent for a change shows the same as all of it drawn anew.
func TestChanges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	texts := []string{"", "a", "abc", "私", "私の", "e\u0301", "12 s", "👨\u200d👩"}
	for range 300 {
		w, h := 1+random.IntN(30), 1+random.IntN(6)
		x := vt.New(w, h)
		_, _ = x.Write([]byte("\x1b[?7l"))
		var before *frame
		for range 8 {
			f := newFrame(w, h)
			for range random.IntN(8) {
				y := random.IntN(h)
				if random.IntN(4) == 0 {
					f.fill(0, y, styleReverse)
				}
				f.put(random.IntN(w), y, style(random.IntN(2))*styleReverse, texts[random.IntN(len(texts))])
			}
			f.curX, f.curY = random.IntN(w), random.IntN(h)
			_, _ = x.Write(frameChanges(nil, before, f))
			if !drawnRight(f, x) {
				t.Fatalf("%d×%d: shown\n%q\nnot\n%q", w, h, x.Lines(), shows(f).Lines())
			}
			if s := x.State(); s.X != f.curX || s.Y != f.curY || s.NoCursor || len(s.Unknown) > 0 {
				t.Fatalf("%+v", s)
			}
			before = f
		}
	}
}

func drawnRight(f *frame, x *vt.Terminal) bool {
	for y, row := range x.Cells() {
		for i, c := range row {
			want := f.row(y)[i]
			text := want.text
			if strings.TrimSpace(text) == "" {
				text = ""
			}
			if strings.TrimSpace(c.Text) != text || c.Reverse != (want.style&styleReverse != 0) {
				return false
			}
		}
	}
	return true
}

// A second that passes changes a few bytes a line, and the same frame none.
func TestOnlyChangesAreSent(t *testing.T) {
	now := time.Unix(1000, 0)
	l := listOf(strings.Split(strings.Repeat("GitHub:me ", 22)+"GitHub:me", " ")...)
	for i := range l.items {
		l.items[i].code = ipc.Code{Code: "123456", ValidUntil: now.Add(27 * time.Second)}
	}
	v := viewOf(l, now)
	one, same := v.draw(80, 24), v.draw(80, 24)
	if b := frameChanges(nil, one, same); len(b) > 0 {
		t.Errorf("for the same: %q", b)
	}
	v.now = now.Add(time.Second)
	if b := frameChanges(nil, one, v.draw(80, 24)); len(b) > 22*16+30 || len(b) == 0 {
		t.Errorf("for a second %d bytes: %q", len(b), b)
	}
	if all := frameChanges(nil, nil, one); strings.Contains(string(all), "\x1b[2J") || strings.Contains(string(all), "\x1b[J") {
		t.Error("the screen is erased as a whole, which puts it into the history of some terminals")
	}
}

// stuck is a terminal that takes nothing until it is let go.
type stuck struct {
	goOn chan struct{}
	mu   sync.Mutex
	got  []string
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.goOn
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, string(b))
	return len(b), nil
}

// A terminal that is slow or stopped holds nobody up, and is sent only the last of
// what came meanwhile.
func TestSlowTerminal(t *testing.T) {
	slow := &stuck{goOn: make(chan struct{})}
	d := newDisplay(slow, func(error) {})
	go d.run()
	for i := range 1000 {
		f := newFrame(20, 1)
		f.put(0, 0, 0, fmt.Sprint("frame ", i))
		d.show(f)
	}
	start := time.Now()
	if d.settle(time.Millisecond); time.Since(start) > time.Minute {
		t.Error("it waits for a terminal that is stopped")
	}
	close(slow.goOn)
	d.settle(time.Minute)
	d.close()
	slow.mu.Lock()
	defer slow.mu.Unlock()
	x := vt.New(20, 1)
	_, _ = x.Write([]byte(strings.Join(slow.got, "")))
	if len(slow.got) > 2 || x.Text() != "frame 999" {
		t.Errorf("it was sent %d times and shows %q", len(slow.got), x.Text())
	}
}

// A terminal that is gone is told of once, and nothing waits for it.
func TestGoneTerminal(t *testing.T) {
	r, w := io.Pipe()
	_ = r.Close()
	failed := make(chan error, 2)
	d := newDisplay(w, func(err error) { failed <- err })
	d.show(newFrame(1, 1))
	d.run()
	d.show(newFrame(1, 1))
	if d.settle(time.Minute); len(failed) != 1 {
		t.Errorf("told %d times", len(failed))
	}
}

func TestShortened(t *testing.T) {
	for _, c := range []struct {
		s    string
		n    int
		want string
	}{
		{"short", 10, "short"}, {"0123456789", 10, "0123456789"}, {"0123456789a", 10, "01234…789a"}, {"0123456789", 5, "0123…"},
		{"長長長長長長", 9, "長長…長長"}, {"ae\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301e\u0301", 8, "ae\u0301e\u0301e\u0301…e\u0301e\u0301e\u0301"}, {"x", 0, ""},
	} {
		if got := shortened(c.s, c.n); got != c.want || columns(got) > max(c.n, 0) {
			t.Errorf("%q in %d: %q", c.s, c.n, got)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "0 s", 999 * time.Second: "999 s", 24 * time.Hour: "24 h", 90 * 24 * time.Hour: "long", time.Hour: "60min"} {
		if got := shortSpan(d); got != want || len(got) > leftColumns {
			t.Errorf("%v: %q", d, got)
		}
	}
}

// The accounts of a large vault are found in no time.
func BenchmarkFilter(b *testing.B) {
	var names []string
	for i := range 5000 {
		names = append(names, fmt.Sprintf("Issuer %d:user%d@exämple.com", i, i))
	}
	l := listOf(names...)
	for b.Loop() {
		l.narrow("user49 exa")
	}
}
