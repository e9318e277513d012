// Package audit keeps a user's audit log: an append-only file of JSON lines in
// which every entry holds the hash of the one before. Entries name things by id;
// nothing that goes into them may be a secret, a code or a name of an account.
//
// What the chain proves is modest, and said so: a line that was changed, removed
// from the middle, swapped or inserted is found. Whoever may write the file can
// compute a whole new chain, or cut entries off the end; that is found only by
// a checkpoint that was kept elsewhere.
//
// # Format
//
// A line is a JSON object with the members seq, time, action, object, by, from,
// ok, detail, prev and hash, in this order, as encoding/json writes them; object,
// by, from and detail are left out when empty. time is UTC with milliseconds. prev is the
// hash of the entry before, 64 zeros for the first of all. hash is the SHA-256,
// in hexadecimal, of the line's text up to the comma before "hash", with a
// closing brace in its place.
//
// A log is one file or several. A full one gets its first entry's number added to
// its name ("audit.log.1", "audit.log.50231"); the file that follows it begins with
// an entry of the action audit-rotated, whose prev is the last hash of the file
// before, whose object is the chain's id, and whose detail is a checkpoint of the
// entry before, where the log's owner signs such. The id is the one that the first
// line of the newest file names as its object, if that is of audit-rotated, or else
// the first half of that line's hash.
//
// A Checkpoint is a signed statement that a chain had an entry. Kept elsewhere it
// shows what was cut off or written anew.
package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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
	// From is where he did it from: the carrier, and the user and process that the
	// kernel names, or the network.
	From string
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
	From   string `json:"from,omitempty"`
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
	for _, m := range []struct{ name, text string }{{"action", e.Action}, {"object", e.Object}, {"by", e.By}, {"from", e.From}} {
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
		Seq: w.Seq, Time: when, Action: w.Action, Object: w.Object, By: w.By, From: w.From, OK: w.OK, Detail: w.Detail, Prev: w.Prev,
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
