// Package audit keeps a user's audit log: an append-only file of JSON lines in
// which every entry holds the hash of the one before. Entries name things by id;
// nothing that goes into them may be a secret, a code or a name of an account.
//
// What the chain proves is modest, and said so: a line that was changed, removed
// from the middle, swapped or inserted is found. Whoever may write the file can
// compute a whole new chain, or cut entries off the end; that is found only by
// comparing with a head (Log.Head) that was kept elsewhere.
//
// # Format
//
// A line is a JSON object with the members seq, time, action, object, by, ok,
// detail, prev and hash, in this order, as encoding/json writes them; object, by
// and detail are left out when empty. time is UTC with milliseconds. prev is the
// hash of the entry before, 64 zeros for the first of all. hash is the SHA-256,
// in hexadecimal, of the line's text up to the comma before "hash", with a
// closing brace in its place.
package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The actions that the log writes about itself.
const (
	// ActionRotated is the first entry of a new file; it follows the last of the
	// file before.
	ActionRotated = "audit-rotated"
	// ActionRepaired notes that an unfinished last line was found, as a crash
	// leaves it.
	ActionRepaired = "audit-repaired"
	// ActionDamaged notes that the end of the log was found unreadable for
	// another reason. The unreadable lines are kept.
	ActionDamaged = "audit-damaged"
)

// The longest texts of an entry, in bytes. Longer ones are cut.
const (
	MaxAction = 64
	MaxID     = 128
	MaxDetail = 512
)

// maxLine bounds a line: all texts at their longest, every character escaped.
const maxLine = 8 << 10

// Entry is one thing that was done.
type Entry struct {
	// Seq, Time, Prev and Hash are set by Append.
	Seq  uint64 // 1 for the first
	Time time.Time
	// Action is what was done: "unlock", "code", "token-enroll", …
	Action string
	// Object is the id of the account, keyslot or backup it was done to.
	Object string
	// By is who did it: a uid or SID, or the daemon's own name for itself.
	By string
	// OK says whether it succeeded.
	OK bool
	// Detail is more: an error kind, a class, a count. Never a name or a secret.
	Detail string
	Prev   string // hexadecimal
	Hash   string // hexadecimal
	// Sync makes Append wait until the entry is on disk. It is not recorded.
	Sync bool
}

// wire is an entry without its hash, as it is hashed.
type wire struct {
	Seq    uint64 `json:"seq"`
	Time   string `json:"time"`
	Action string `json:"action"`
	Object string `json:"object,omitempty"`
	By     string `json:"by,omitempty"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
	Prev   string `json:"prev"`
}

const (
	timeLayout = "2006-01-02T15:04:05.000Z"
	hashName   = `,"hash":"`
	hashEnd    = `"}`
	hashLen    = 2 * sha256.Size
)

// noHash is what the first entry of all follows.
func noHash() string { return strings.Repeat("0", hashLen) }

// encode fills in e.Hash and returns the entry's line. It writes what
// encoding/json would write of a wire, as decode checks, without the cost: a
// line is written for every code.
func encode(e *Entry) ([]byte, error) {
	line := make([]byte, 0, lineRoom)
	line = append(line, `{"seq":`...)
	line = strconv.AppendUint(line, e.Seq, 10)
	line = append(line, `,"time":"`...)
	line = e.Time.AppendFormat(line, timeLayout)
	line = append(line, '"')
	var err error
	for _, m := range []struct{ name, text string }{{"action", e.Action}, {"object", e.Object}, {"by", e.By}} {
		if m.text != "" || m.name == "action" {
			line, err = appendMember(line, m.name, m.text, err)
		}
	}
	line = append(line, `,"ok":`...)
	line = strconv.AppendBool(line, e.OK)
	if e.Detail != "" {
		line, err = appendMember(line, "detail", e.Detail, err)
	}
	line, err = appendMember(line, "prev", e.Prev, err)
	if err != nil {
		return nil, fmt.Errorf("cannot encode an audit entry: %w", err)
	}
	line = append(line, '}')
	sum := sha256.Sum256(line)
	e.Hash = hex.EncodeToString(sum[:])
	line = append(line[:len(line)-1], hashName...)
	line = append(line, e.Hash...)
	return append(line, hashEnd+"\n"...), nil
}

// lineRoom holds the usual line.
const lineRoom = 512

// appendMember writes a text member of an object after others; err is of the
// ones before, and passes.
func appendMember(line []byte, name, text string, err error) ([]byte, error) {
	line = append(line, ',', '"')
	line = append(line, name...)
	line = append(line, '"', ':')
	if plain(text) {
		line = append(line, '"')
		line = append(line, text...)
		return append(line, '"'), err
	}
	quoted, e := json.Marshal(text)
	return append(line, quoted...), errors.Join(err, e)
}

// plain says that a text is printable ASCII that JSON writes as it is.
func plain(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			return false
		}
	}
	return true
}

// decode reads a line without its end. why is empty for a good one; readable
// says that e can be shown all the same.
func decode(line []byte) (e Entry, readable bool, why string) {
	at := len(line) - len(hashName) - hashLen - len(hashEnd)
	if at < 1 || !bytes.HasPrefix(line[at:], []byte(hashName)) || !bytes.HasSuffix(line, []byte(hashEnd)) {
		return Entry{}, false, "is not an entry"
	}
	body := append(bytes.Clone(line[:at]), '}')
	var w wire
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if dec.Decode(&w) != nil {
		return Entry{}, false, "is not an entry"
	}
	when, err := time.Parse(timeLayout, w.Time)
	if err != nil {
		return Entry{}, false, "has no valid time"
	}
	e = Entry{
		Seq: w.Seq, Time: when, Action: w.Action, Object: w.Object, By: w.By, OK: w.OK, Detail: w.Detail, Prev: w.Prev,
		Hash: string(line[at+len(hashName) : len(line)-len(hashEnd)]),
	}
	sum := sha256.Sum256(body)
	if hex.EncodeToString(sum[:]) != e.Hash {
		return e, true, "does not have the hash it states"
	}
	// Same meaning in other bytes is a change too, made by whoever hashed it.
	if again, err := json.Marshal(w); err != nil || !bytes.Equal(again, body) {
		return e, true, "is not written as entries are"
	}
	return e, true, ""
}

// clean makes text fit to be shown on one line and no longer than n bytes.
func clean(s string, n int) string {
	if len(s) <= n && plain(s) {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return utf8.RuneError
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError)))
	if len(s) <= n {
		return s
	}
	const more = "…"
	cut := n - len(more)
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + more
}

// MaxProblems is how many problems a Result names.
const MaxProblems = 20

// Problem is a line that is not as it must be.
type Problem struct {
	// Line counts from 1.
	Line int
	// Why continues "line 12 …".
	Why string
}

func (p Problem) String() string { return fmt.Sprintf("line %d %s", p.Line, p.Why) }

// Result is what Verify found.
type Result struct {
	// Entries is how many entries can be read, good or not.
	Entries int
	// First and Last are the sequence numbers of the first and last of them.
	// First is above 1 when older files of the log are gone.
	First, Last uint64
	// Head is the hash that the last entry states.
	Head string
	// Torn is the length of an unfinished last line, in bytes; 0 when there is
	// none. It is not a problem of the chain: a crash leaves one, and the next
	// Open repairs it.
	Torn int64
	// Problems are the first MaxProblems lines that are not as they must be;
	// More is how many there are beyond.
	Problems []Problem
	More     int
}

// Intact says that the chain is whole from First to Last.
func (r Result) Intact() bool { return len(r.Problems) == 0 }

// Problem says in one sentence what is wrong; empty when nothing is.
func (r Result) Problem() string {
	if r.Intact() {
		return ""
	}
	s := r.Problems[0].String()
	if n := len(r.Problems) - 1 + r.More; n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

// ErrBroken is wrapped by errors about a chain that is not intact.
var ErrBroken = errors.New("audit log is broken")

// Verify reads a log, one file or several in a row, and checks its chain. After
// a bad line it goes on with the next, so that one changed line is one problem
// or two. The error is the reader's; a broken chain is told in the Result.
func Verify(r io.Reader) (Result, error) { return walk(r, func(Entry) {}) }

// walk is Verify, and shows every entry that can be read.
func walk(r io.Reader, show func(Entry)) (Result, error) {
	res := Result{Head: noHash()}
	in := bufio.NewReaderSize(r, maxLine)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			var rest int64
			if rest, err = skipLine(in); err == nil {
				res.problem(n, "is too long to be an entry")
				continue
			}
			res.Torn = int64(len(line)) + rest
		} else if err != nil {
			res.Torn = int64(len(line))
		}
		switch {
		case errors.Is(err, io.EOF):
			return res, nil
		case err != nil:
			return res, fmt.Errorf("cannot read the audit log: %w", err)
		}
		e, readable, why := decode(line[:len(line)-1])
		if !readable {
			res.problem(n, why)
			continue
		}
		if why == "" {
			why = res.follow(e)
		}
		if why != "" {
			res.problem(n, why)
		}
		if res.Entries == 0 {
			res.First = e.Seq
		}
		res.Entries++
		res.Last, res.Head = e.Seq, e.Hash
		show(e)
	}
}

// skipLine drops the rest of a line that is longer than the reader's buffer.
func skipLine(in *bufio.Reader) (n int64, err error) {
	for {
		part, err := in.ReadSlice('\n')
		n += int64(len(part))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return n, err
		}
	}
}

func (r *Result) problem(line int, why string) {
	if len(r.Problems) == MaxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{Line: line, Why: why})
}

// follow says why e cannot come after what was read, or nothing.
func (r *Result) follow(e Entry) string {
	if r.Entries == 0 && e.Action == ActionRotated && e.Seq > 1 {
		return "" // the file before is gone
	}
	switch {
	case e.Seq != r.Last+1:
		return fmt.Sprintf("has number %d where %d is due", e.Seq, r.Last+1)
	case e.Prev != r.Head:
		return "does not follow the entry before it"
	}
	return ""
}
