package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/daemon/secret"
)

func TestDoRunsAndPanicsPassThrough(t *testing.T) {
	ran := 0
	secret.Do(func() { ran++; secret.Do(func() { ran++ }) })
	if ran != 2 {
		t.Fatalf("ran %d functions, want 2", ran)
	}
	defer func() {
		if r := recover(); r != "boom" {
			t.Fatalf("recovered %v, want the function's own panic", r)
		}
	}()
	secret.Do(func() { panic("boom") })
}

func TestResultOfDoStaysUsable(t *testing.T) {
	var out []byte
	secret.Do(func() { out = bytes.Repeat([]byte("ab"), 1000) })
	secret.Collect()
	if want := bytes.Repeat([]byte("ab"), 1000); !bytes.Equal(out, want) {
		t.Fatal("a result that is still referenced was erased")
	}
}

func TestBuffer(t *testing.T) {
	for _, n := range []int{0, 1, 32, 4096, 4097, 100_000} {
		b, err := secret.NewBuffer(n)
		if err != nil {
			t.Fatal(err)
		}
		if b.Len() != n || len(b.Bytes()) != n || cap(b.Bytes()) != n {
			t.Fatalf("size %d: Len %d, slice %d of %d", n, b.Len(), len(b.Bytes()), cap(b.Bytes()))
		}
		for i, c := range b.Bytes() {
			if c != 0 {
				t.Fatalf("size %d: byte %d is %d before use", n, i, c)
			}
			b.Bytes()[i] = byte(i)
		}
		stale := b.Bytes()
		b.Wipe()
		b.Wipe()
		for i, c := range stale {
			if c != 0 {
				t.Fatalf("size %d: byte %d is %d after Wipe", n, i, c)
			}
		}
		if b.Len() != 0 || b.Bytes() != nil || b.Locked() {
			t.Fatalf("size %d: still there after Wipe", n)
		}
	}
}

func TestBufferSizes(t *testing.T) {
	for _, n := range []int{-1, secret.MaxBuffer + 1} {
		if _, err := secret.NewBuffer(n); err == nil {
			t.Errorf("a buffer of %d bytes was made", n)
		}
	}
}

func TestFromTakesTheOriginal(t *testing.T) {
	src := []byte("the key of the house")
	b := secret.From(src)
	defer b.Wipe()
	if string(b.Bytes()) != "the key of the house" {
		t.Fatalf("holds %q", b.Bytes())
	}
	if !bytes.Equal(src, make([]byte, len(src))) {
		t.Fatalf("the original still holds %q", src)
	}
}

func TestUseAfterWipe(t *testing.T) {
	b := secret.From([]byte("x"))
	want := errors.New("mine")
	if err := b.Use(func(p []byte) error { return fmt.Errorf("%s: %w", p, want) }); !errors.Is(err, want) {
		t.Fatalf("Use returned %v", err)
	}
	b.Wipe()
	err := b.Use(func([]byte) error { t.Error("called with a wiped secret"); return nil })
	if !errors.Is(err, secret.ErrWiped) {
		t.Fatalf("Use after Wipe returned %v", err)
	}
	var none *secret.Buffer
	none.Wipe()
	if none.Bytes() != nil || none.Len() != 0 || none.Locked() || !errors.Is(none.Use(nil), secret.ErrWiped) {
		t.Fatal("a nil buffer is not like a wiped one")
	}
}

// TestWipeWaitsForUse fails when a secret can vanish under somebody who uses it.
func TestWipeWaitsForUse(t *testing.T) {
	b := secret.From(bytes.Repeat([]byte{7}, 64))
	inside, wiped := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = b.Use(func(p []byte) error {
			close(inside)
			select {
			case <-wiped:
				t.Error("Wipe returned while the secret was in use")
			case <-time.After(50 * time.Millisecond):
			}
			if !bytes.Equal(p, bytes.Repeat([]byte{7}, 64)) {
				t.Error("the secret changed while it was in use")
			}
			return nil
		})
	})
	<-inside
	b.Wipe()
	close(wiped)
	wg.Wait()
}

func TestBuffersAreApart(t *testing.T) {
	var all []*secret.Buffer
	for i := range 300 { // beyond a small RLIMIT_MEMLOCK too
		all = append(all, secret.From(bytes.Repeat([]byte{byte(i)}, 100)))
		if i%3 == 0 {
			all[i/2].Wipe()
			secret.From([]byte("short-lived")).Wipe()
		}
	}
	secret.Collect()
	for i, b := range all {
		if p := b.Bytes(); p != nil && !bytes.Equal(p, bytes.Repeat([]byte{byte(i)}, 100)) {
			t.Fatalf("buffer %d was changed by another", i)
		}
		b.Wipe()
	}
}

func TestBufferIsNeverPrinted(t *testing.T) {
	b := secret.From([]byte("hunter2-hunter2"))
	defer b.Wipe()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if out := fmt.Sprintf(verb, b); out != "[secret]" {
			t.Errorf("%s prints %q", verb, out)
		}
	}
	if out, err := json.Marshal(map[string]any{"k": b}); err == nil || strings.Contains(string(out), "hunter2") {
		t.Errorf("JSON gave %s, %v", out, err)
	}
}

func BenchmarkBuffer(b *testing.B) {
	for b.Loop() {
		buf, err := secret.NewBuffer(32)
		if err != nil {
			b.Fatal(err)
		}
		buf.Wipe()
	}
}

func BenchmarkDo(b *testing.B) {
	for b.Loop() {
		secret.Do(func() {})
	}
}
