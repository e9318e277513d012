package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// testKey signs, made of a word.
type testKey string

func (k testKey) private() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(k))
	return ed25519.NewKeyFromSeed(seed[:])
}

func (k testKey) Signer() string { return hex.EncodeToString(k.private()[ed25519.SeedSize:]) }

func (k testKey) Sign(m []byte) ([]byte, error) { return ed25519.Sign(k.private(), m), nil }

func mustCheckpoint(t testing.TB, l *Log, chain string, k testKey) Checkpoint {
	t.Helper()
	c, err := l.Checkpoint(chain, k)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCheckpointFormat holds the text, put together here.
func TestCheckpointFormat(t *testing.T) {
	l := mustOpen(t, filepath.Join(t.TempDir(), "audit.log"))
	if _, err := l.Checkpoint("", testKey("a")); err == nil {
		t.Error("an empty log has a checkpoint")
	}
	mustAppend(t, l, sample()...)
	c := mustCheckpoint(t, l, "", "a")
	entries, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("tokend-checkpoint-1.%s.4.%s.1772362806.%s", entries[0].Hash[:32], entries[3].Hash, testKey("a").Signer())
	signature := ed25519.Sign(testKey("a").private(), []byte("tokend audit checkpoint v1\n"+text))
	if want := text + "." + base64.RawURLEncoding.EncodeToString(signature); c.String() != want {
		t.Errorf("%s, want %s", c, want)
	}
	again, err := ParseCheckpoint(c.String())
	if err != nil || again.String() != c.String() || !again.Genuine() || !again.Time.Equal(time.Unix(1772362806, 0)) {
		t.Errorf("%+v, %v", again, err)
	}
	longest := Checkpoint{Chain: strings.Repeat("z", 64), Seq: 1<<63 - 1, Hash: c.Hash, Time: time.Unix(1<<38, 0), Signer: c.Signer, Signature: c.Signature}
	if n := len(longest.String()); n > MaxCheckpoint || n > MaxDetail {
		t.Errorf("the longest has %d bytes", n)
	}
	for i := range c.String() {
		text := []byte(c.String())
		text[i] ^= 1
		if got, err := ParseCheckpoint(string(text)); err == nil && got.Genuine() {
			t.Errorf("byte %d changed and not noticed", i)
		}
	}
}

// TestStandings changes a log in each of the ways that a checkpoint is for.
func TestStandings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	l := mustOpen(t, path)
	mustAppend(t, l, sample()...)
	mustAppend(t, l, sample()...)
	data := read(t, path)
	good := mustCheckpoint(t, l, "", "mine")
	lines := bytes.SplitAfter(data, []byte("\n"))
	forged, theirs, elsewhere := good, mustCheckpoint(t, l, "", "theirs"), mustCheckpoint(t, l, "another", "theirs")
	forged.Time = forged.Time.Add(time.Hour)

	// fake is a chain made anew by somebody who knows the format, from entry n on.
	fake := func(n int) []byte {
		p := filepath.Join(t.TempDir(), "audit.log")
		if err := os.WriteFile(p, bytes.Join(lines[:n], nil), 0o600); err != nil {
			t.Fatal(err)
		}
		f := mustOpen(t, p)
		for range 12 - n {
			mustAppend(t, f, Entry{Action: "code", Object: "not what was", OK: true})
		}
		return read(t, p)
	}
	for name, c := range map[string]struct {
		data []byte
		c    Checkpoint
		want Standing
	}{
		"as it was":      {data, good, Held},
		"longer":         {append(slices.Clone(data), fake(8)[len(data):]...), good, Held},
		"cut":            {bytes.Join(lines[:5], nil), good, Cut},
		"all cut":        {bytes.Join(lines[:1], nil), good, Cut},
		"written anew":   {fake(5), good, Rewritten},
		"its line gone":  {bytes.Join([][]byte{bytes.Join(lines[:7], nil), fake(8)[len(data):]}, nil), good, Missing},
		"its line other": {bytes.ReplaceAll(data, []byte(`"lock","by":"tokend"`), []byte(`"lock","by":"nobody"`)), good, Missing},
		"forged":         {data, forged, Forged},
		"another's":      {data, theirs, UnknownSigner},
		"another chain":  {data, elsewhere, OtherChain},
		"all anew":       {fake(0), good, Replaced},
	} {
		p := filepath.Join(t.TempDir(), "audit.log")
		if err := os.WriteFile(p, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		l := mustOpen(t, p)
		_, got, err := l.Compare(Owner{Signs: func(s string) bool { return s == testKey("mine").Signer() }}, []Checkpoint{c.c})
		if err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %v, %v, want %s", name, got, err, c.want)
		}
	}
}

// TestCheckpointsOfFilesMovedAway: the entry that the oldest file follows is known
// by its hash, those before are not.
func TestCheckpointsOfFilesMovedAway(t *testing.T) {
	l, files := several(t, 60)
	entries, err := l.Read()
	if err != nil {
		t.Fatal(err)
	}
	at := func(n uint64, hash string) Checkpoint {
		c, err := NewCheckpoint(l.ID(), n, hash, time.Unix(1, 0), testKey("mine"))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	res, err := l.Check()
	if err != nil {
		t.Fatal(err)
	}
	last := res.First - 1
	res, got, err := l.Compare(Owner{Signs: func(string) bool { return true }}, []Checkpoint{
		at(last-1, entries[last-2].Hash), at(last, entries[last-1].Hash), at(last, noHash()), at(res.First, entries[last].Hash),
	})
	if err != nil || !res.Intact() || !slices.Equal(got, []Standing{Before, Held, Rewritten, Held}) {
		t.Errorf("%v, %+v, %v", got, res, err)
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	l := mustOpen(f, filepath.Join(f.TempDir(), "audit.log"))
	mustAppend(f, l, sample()...)
	good := mustCheckpoint(f, l, "", "a").String()
	for _, s := range []string{
		good, good[:len(good)-1], good + "A", strings.ToUpper(good), strings.Replace(good, ".4.", ".04.", 1), strings.Replace(good, ".4.", ".-4.", 1),
		strings.Replace(good, ".4.", ".18446744073709551615.", 1), "", CheckpointPrefix, CheckpointPrefix + ".....", good[len(CheckpointPrefix):],
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheckpoint(text)
		if err != nil {
			return
		}
		if c.String() != text || c.Seq == 0 || len(text) > MaxCheckpoint || strings.ContainsAny(text, " \n\"\\") {
			t.Fatalf("%q is taken for %+v", text, c)
		}
		_ = c.Genuine()
		_ = Owner{Signs: func(string) bool { return true }}.judge(c, Result{First: 1, Last: 9, Entries: 9}, nil)
	})
}
