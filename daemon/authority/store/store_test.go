package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/tokenbridge/tokend/daemon/secret"
)

type thing struct {
	Name   string `cbor:"1,keyasint"`
	Secret []byte `cbor:"2,keyasint"`
}

func key(b byte) *secret.Buffer { return secret.From(bytes.Repeat([]byte{b}, KeySize)) }

func create(t testing.TB) (*Store, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "authority")
	s, err := Create(dir, key(1), "things", "others")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s, dir
}

func put(t testing.TB, s *Store, names ...string) {
	t.Helper()
	err := s.Update(func(tx *Tx) error {
		for _, n := range names {
			k, err := s.Key("things", n)
			if err != nil {
				return err
			}
			if err := tx.Put("things", k[:], thing{n, []byte("seed of " + n)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func get(s *Store, name string) (v thing, found bool, err error) {
	err = s.View(func(tx *Tx) error {
		k, err := s.Key("things", name)
		if err != nil {
			return err
		}
		found, err = tx.Get("things", k[:], &v)
		return err
	})
	return v, found, err
}

func names(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("thing number %d", i)
	}
	return out
}

func TestReopen(t *testing.T) {
	s, dir := create(t)
	put(t, s, names(300)...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error("closed again:", err)
	}
	if err := s.Update(func(*Tx) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Error("a change after Close:", err)
	}
	if _, _, err := get(s, "thing number 1"); !errors.Is(err, ErrClosed) {
		t.Error("a look after Close:", err)
	}
	if _, err := Create(dir, key(1), "things"); !errors.Is(err, ErrExists) {
		t.Error("created over:", err)
	}
	s, err := Open(dir, key(1))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, n := range names(300) {
		if v, found, err := get(s, n); err != nil || !found || v.Name != n || string(v.Secret) != "seed of "+n {
			t.Fatalf("%s: %+v, %v, %v", n, v, found, err)
		}
	}
	if _, found, err := get(s, "thing number 300"); found || err != nil {
		t.Error(found, err)
	}
	err = s.Update(func(tx *Tx) error {
		k, err := s.Key("things", "thing number 7")
		return errors.Join(err, tx.Delete("things", k[:]))
	})
	if _, found, err2 := get(s, "thing number 7"); found || err != nil || err2 != nil {
		t.Error(found, err, err2)
	}
}

// TestFileSaysNothing: neither names nor seeds, and no two records of the same
// content are alike.
func TestFileSaysNothing(t *testing.T) {
	s, dir := create(t)
	put(t, s, names(50)...)
	_ = s.Close()
	raw, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	for _, plain := range []string{"thing number", "seed of", string(bytes.Repeat([]byte{1}, KeySize))} {
		if bytes.Contains(raw, []byte(plain)) {
			t.Errorf("the file holds %q", plain)
		}
	}
	a, _ := Create(filepath.Join(t.TempDir(), "a"), key(2))
	defer a.Close()
	k1, _ := a.Key("things", "x")
	k2, _ := a.Key("others", "x")
	if k1 == k2 {
		t.Error("one name has one key in two buckets")
	}
}

func TestModes(t *testing.T) {
	if !modes {
		return
	}
	s, dir := create(t)
	path := filepath.Join(dir, FileName)
	for p, want := range map[string]os.FileMode{dir: 0o700, path: 0o600} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", p, info.Mode(), err)
		}
	}
	_ = s.Close()
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir, key(1))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Error("a copy that others can read stays so:", info.Mode())
	}
}

func TestWrongKey(t *testing.T) {
	s, dir := create(t)
	_ = s.Close()
	if _, err := Open(dir, key(2)); !errors.Is(err, ErrWrongKey) || errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if _, err := Open(filepath.Join(dir, "x"), key(1)); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	// With one byte of the check record changed, it is damage, whatever the key.
	db, err := bolt.Open(filepath.Join(dir, FileName), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	spoil := func(key string, at int, to byte) {
		err := db.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte(metaBucket))
			v := bytes.Clone(b.Get([]byte(key)))
			v[at] = to
			return b.Put([]byte(key), v)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	spoil(checkKey, 60, 0xaa)
	_ = db.Close()
	for k := range byte(2) {
		if _, err := Open(dir, key(1+k)); !errors.Is(err, ErrDamaged) || errors.Is(err, ErrWrongKey) {
			t.Error(err)
		}
	}
	db, _ = bolt.Open(filepath.Join(dir, FileName), 0o600, nil)
	spoil(formatKey, 0, '2')
	_ = db.Close()
	if _, err := Open(dir, key(1)); !errors.Is(err, ErrNewer) {
		t.Error(err)
	}
}

// TestMoved: a record opens where it was put and nowhere else.
func TestMoved(t *testing.T) {
	s, _ := create(t)
	put(t, s, "a", "b")
	ka, _ := s.Key("things", "a")
	kb, _ := s.Key("things", "b")
	err := s.db.Update(func(tx *bolt.Tx) error {
		things, others := tx.Bucket([]byte("things")), tx.Bucket([]byte("others"))
		a := bytes.Clone(things.Get(ka[:]))
		flipped := bytes.Clone(a)
		flipped[len(a)/2] ^= 1
		newer := bytes.Clone(a)
		newer[0]++
		return errors.Join(things.Put(kb[:], a), others.Put(ka[:], a), others.Put(kb[:], flipped), others.Put([]byte("n"), newer), others.Put([]byte("s"), a[:20]))
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct {
		bucket string
		key    []byte
		want   error
	}{{"things", ka[:], nil}, {"things", kb[:], ErrDamaged}, {"others", ka[:], ErrDamaged}, {"others", kb[:], ErrDamaged}, {"others", []byte("n"), ErrNewer}, {"others", []byte("s"), ErrDamaged}, {"none", ka[:], ErrDamaged}} {
		err := s.View(func(tx *Tx) error {
			_, err := tx.Get(at.bucket, at.key, &thing{})
			return err
		})
		if !errors.Is(err, at.want) {
			t.Errorf("%s %x: %v", at.bucket, at.key, err)
		}
	}
}

const holdMark = "STORE_TEST_HOLD"

// TestHolder is the process that TestInUse starts.
func TestHolder(t *testing.T) {
	dir := os.Getenv(holdMark)
	if dir == "" {
		return // TestInUse runs it
	}
	s, err := Open(dir, key(1))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestInUse(t *testing.T) {
	s, dir := create(t)
	if _, err := Open(dir, key(1)); !errors.Is(err, ErrInUse) {
		t.Error("twice in one process:", err)
	}
	_ = s.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestHolder$")
	cmd.Env = append(os.Environ(), holdMark+"="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 5)
	if _, err := io.ReadFull(out, said); err != nil || string(said) != "held\n" {
		t.Fatalf("%q, %v", said, err)
	}
	began := time.Now()
	if _, err := Open(dir, key(1)); !errors.Is(err, ErrInUse) {
		t.Error(err)
	}
	t.Log("refused after", time.Since(began))
	if _, err := Create(dir, key(1)); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	_ = in.Close()
	_ = cmd.Wait()
	s, err = Open(dir, key(1))
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

// tryAll reads everything there is in a registry, which must not do more than
// fail.
func tryAll(dir string) error {
	s, err := Open(dir, key(1))
	if err != nil {
		return err
	}
	err = s.View(func(tx *Tx) error {
		return tx.Each("things", nil, func(_ []byte, decode func(any) error) (bool, error) { return true, decode(&thing{}) })
	})
	err = errors.Join(err, s.Update(func(tx *Tx) error { return tx.Put("others", []byte("k"), thing{Name: "new"}) }))
	return errors.Join(err, s.Close())
}

func TestTruncated(t *testing.T) {
	s, dir := create(t)
	put(t, s, names(500)...)
	_ = s.Close()
	whole, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	_, pages, _ := readMeta(bytes.NewReader(whole[metaOffset:]))
	if _, p, _ := readMeta(bytes.NewReader(whole[pageSize+metaOffset:])); p > pages {
		pages = p
	}
	for _, n := range []uint64{1, 15, 80, pageSize - 1, pageSize, pageSize + 80, 2 * pageSize, 3*pageSize + 5, pages / 2 * pageSize, (pages - 1) * pageSize, pages*pageSize - 1} {
		cut := filepath.Join(t.TempDir(), "cut")
		write(t, cut, whole[:n])
		if err := tryAll(cut); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes of %d: %v", n, len(whole), err)
		}
		if now, _ := os.ReadFile(filepath.Join(cut, FileName)); !bytes.Equal(now, whole[:n]) {
			t.Errorf("%d bytes: the file was written to", n)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty")
	write(t, empty, nil)
	if err := tryAll(empty); !errors.Is(err, ErrNone) {
		t.Error("an empty file:", err)
	}
	for _, text := range []string{"not a registry at all\n", strings.Repeat("\x00", 1<<16)} {
		other := filepath.Join(t.TempDir(), "other")
		write(t, other, []byte(text))
		if err := tryAll(other); !errors.Is(err, ErrDamaged) {
			t.Error("another file:", err)
		}
	}
}

func write(t *testing.T, dir string, content []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, FileName), content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// TestSpoilt: whatever bytes are changed, it is an error at worst: not the end of
// the process, and no record that was not put.
func TestSpoilt(t *testing.T) {
	s, dir := create(t)
	put(t, s, names(100)...)
	_ = s.Close()
	whole, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	refused, n := 0, 0
	spoilt := filepath.Join(t.TempDir(), "spoilt")
	for at := 0; at < len(whole) && at < 24*pageSize; at += 61 {
		content := bytes.Clone(whole)
		copy(content[at:], []byte{0xff, 0xfe, 0xfd, 0xfc, 0xfb}[:1+n%5])
		write(t, spoilt, content)
		n++
		switch err := tryAll(spoilt); {
		case err == nil:
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrNewer), errors.Is(err, ErrNone):
			refused++
		default:
			t.Errorf("at %d: %v", at, err)
		}
	}
	t.Logf("%d of %d are noticed", refused, n)
	if refused < n/20 {
		t.Errorf("%d of %d are noticed", refused, n)
	}
}

// TestGroup: who waits together is stored together, and one who fails takes
// nobody with him.
func TestGroup(t *testing.T) {
	s, _ := create(t)
	hold, held := make(chan struct{}), make(chan struct{})
	go func() {
		_ = s.Update(func(*Tx) error { close(held); <-hold; return nil })
	}()
	<-held
	before := txid(t, s)
	const n = 60
	var wg sync.WaitGroup
	errs := make([]error, n)
	fail := errors.New("no")
	var asked atomic.Int32
	for i := range n {
		wg.Go(func() {
			asked.Add(1)
			errs[i] = s.Update(func(tx *Tx) error {
				k, err := s.Key("things", fmt.Sprint(i))
				if err != nil {
					return err
				}
				if err := tx.Put("things", k[:], thing{Name: fmt.Sprint(i)}); err != nil {
					return err
				}
				switch i % 20 {
				case 3:
					return fail
				case 4:
					panic("a slip")
				}
				return nil
			})
		})
	}
	for asked.Load() < n {
		time.Sleep(time.Millisecond)
	}
	close(hold)
	wg.Wait()
	for i, err := range errs {
		_, found, _ := get(s, fmt.Sprint(i))
		switch i % 20 {
		case 3:
			if !errors.Is(err, fail) || found {
				t.Errorf("%d: %v, %v", i, err, found)
			}
		case 4:
			if !errors.Is(err, ErrDamaged) || found {
				t.Errorf("%d: %v, %v", i, err, found)
			}
		default:
			if err != nil || !found {
				t.Errorf("%d: %v, %v", i, err, found)
			}
		}
	}
	if used := txid(t, s) - before; used > n/2 {
		t.Errorf("%d transactions for %d changes", used, n)
	}
	put(t, s, "afterwards")
}

func txid(t *testing.T, s *Store) int {
	t.Helper()
	n := 0
	if err := s.View(func(tx *Tx) error { n = tx.tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNothingChanged: a change that changes nothing costs no write.
func TestNothingChanged(t *testing.T) {
	s, _ := create(t)
	before := txid(t, s)
	for range 10 {
		if err := s.Update(func(tx *Tx) error { _, err := tx.First("things"); return err }); err != nil {
			t.Fatal(err)
		}
	}
	if after := txid(t, s); after != before {
		t.Errorf("%d transactions", after-before)
	}
}

func TestEach(t *testing.T) {
	s, _ := create(t)
	put(t, s, names(40)...)
	var keys [][]byte
	collect := func(from []byte, limit int) int {
		n := 0
		err := s.View(func(tx *Tx) error {
			return tx.Each("things", from, func(k []byte, decode func(any) error) (bool, error) {
				n++
				keys = append(keys, bytes.Clone(k))
				var v thing
				return n < limit, decode(&v)
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := collect(nil, 1000); n != 40 {
		t.Error(n)
	}
	if n := collect(keys[30], 1000); n != 10 {
		t.Error(n)
	}
	if n := collect(nil, 5); n != 5 {
		t.Error(n)
	}
}

// TestKeyFileAfterACrash: what a crash has left, of this version or of one that
// wrote in place, keeps nobody from making the key.
func TestKeyFileAfterACrash(t *testing.T) {
	for name, left := range map[string]string{"half of a key beside": ".new", "an empty file": ""} {
		f := KeyFile(filepath.Join(t.TempDir(), "key"))
		text := []byte("tokend-authority-key-1:AAAA")[:len(left)*5]
		if err := os.WriteFile(string(f)+left, text, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := f.Create(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if k, err := f.Key(); err != nil || k.Len() != KeySize {
			t.Errorf("%s: %v", name, err)
		}
		if list, err := os.ReadDir(filepath.Dir(string(f))); err != nil || len(list) != 1 {
			t.Errorf("%s: %v, %v", name, list, err)
		}
		if err := f.Create(); !errors.Is(err, os.ErrExist) {
			t.Errorf("%s: made again: %v", name, err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	dir := t.TempDir()
	f := KeyFile(filepath.Join(dir, "key"))
	if _, err := f.Key(); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	if err := f.Create(); err != nil {
		t.Fatal(err)
	}
	if err := f.Create(); !errors.Is(err, os.ErrExist) {
		t.Error("made again:", err)
	}
	k, err := f.Key()
	if err != nil || k.Len() != KeySize || bytes.Equal(k.Bytes(), make([]byte, KeySize)) {
		t.Fatal(k.Len(), err)
	}
	if modes {
		if info, _ := os.Stat(string(f)); info.Mode().Perm() != 0o600 {
			t.Error(info.Mode())
		}
		for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o660} {
			_ = os.Chmod(string(f), mode)
			if _, err := f.Key(); !errors.Is(err, ErrKeyExposed) {
				t.Errorf("%#o: %v", mode, err)
			}
		}
		_ = os.Chmod(string(f), 0o600)
	}
	text, err := os.ReadFile(string(f))
	if err != nil {
		t.Fatal(err)
	}
	c := Credential(dir)
	if _, err := c.Key(); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	if _, err := Credential("").Key(); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, CredentialName), bytes.TrimSpace(text), 0o440); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Key(); err != nil || !bytes.Equal(got.Bytes(), k.Bytes()) {
		t.Error(err)
	}
	for _, bad := range []string{"", "\n", "x", keyPrefix, keyPrefix + "AAAA", string(text[:len(text)-3]), string(text) + "x", " " + string(text), strings.ToUpper(string(text)), string(text) + string(text), strings.Repeat("A", 4096)} {
		if err := os.WriteFile(string(f), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Key(); !errors.Is(err, ErrNotAKey) {
			t.Errorf("%q: %v", bad, err)
		} else if len(bad) > 30 && strings.Contains(err.Error(), bad[25:]) {
			t.Errorf("the error repeats the file: %v", err)
		}
	}
	if _, err := KeyFile(dir).Key(); !errors.Is(err, ErrNotAKey) {
		t.Error("a folder:", err)
	}
}

func FuzzKey(f *testing.F) {
	f.Add([]byte(keyPrefix + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if k, err := parseKey(bytes.Clone(text)); err == nil && k.Len() != KeySize {
			t.Fatal(k.Len())
		} else if err != nil && !errors.Is(err, ErrNotAKey) {
			t.Fatal(err)
		}
	})
}
