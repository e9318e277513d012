//go:build linux

package memory

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"filippo.io/age"
	"golang.org/x/sys/unix"
)

// holdEnv makes this test program, started again, keep what it is told.
const holdEnv = "TOKEND_MEMORY_TEST_HOLD"

// hold reads pieces, each after its length, keeps them in memory at odd places,
// and waits to be killed.
func hold() {
	p, err := unix.Mmap(-1, 0, 8<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		os.Exit(1)
	}
	at := window - 20 // the first lies across two windows of the search
	for {
		var n uint32
		if err := binary.Read(os.Stdin, binary.LittleEndian, &n); err != nil {
			break
		}
		if _, err := io.ReadFull(os.Stdin, p[at:at+int(n)]); err != nil {
			os.Exit(1)
		}
		at += int(n) + 1
	}
	fmt.Println("held")
	select {}
}

// holder is a process that holds the pieces.
func holder(t *testing.T, pieces ...[]byte) (pid int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"=1")
	var in bytes.Buffer
	for _, p := range pieces {
		in.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(p))))
		in.Write(p)
	}
	cmd.Stdin = &in
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, len("held"))); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// TestSearchFindsWhatIsThere plants every form of every kind of secret in a
// process, whole and in halves, and finds each.
func TestSearchFindsWhatIsThere(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 20)
	_, _ = rand.Read(raw)
	needles, err := Identity("key", []byte(id.String()))
	if err != nil {
		t.Fatal(err)
	}
	needles = append(needles, OTP("secret", raw)...)
	needles = append(needles, Text("PIN", random(8))...)
	var whole, halves [][]byte
	for i := range needles {
		n := needles[i].Bytes
		whole = append(whole, n, []byte("something else"))
		if len(n) >= 2*shortest {
			halves = append(halves, n[:len(n)/2], []byte("something else"), n[len(n)/2:])
		}
	}
	count := func(s *Search) map[*Needle]map[string]int {
		out := map[*Needle]map[string]int{}
		for _, h := range s.Hits {
			if out[h.Needle] == nil {
				out[h.Needle] = map[string]int{}
			}
			out[h.Needle][h.Part]++
		}
		return out
	}
	// One form can be part of another, or the same: hence "at least".
	there := count(search(t, holder(t, whole...), needles))
	cut := count(search(t, holder(t, halves...), needles))
	for i := range needles {
		n := &needles[i]
		if there[n]["whole"] == 0 {
			t.Errorf("%s, %s: not found", n.Kind, n.Form)
		}
		if len(n.Bytes) >= 2*shortest && (cut[n]["head"] == 0 || cut[n]["tail"] == 0) {
			t.Errorf("%s, %s: held in halves, found %v", n.Kind, n.Form, cut[n])
		}
	}
	if s := search(t, holder(t, []byte("nothing of it")), needles); len(s.Hits) != 0 {
		t.Errorf("found what is not there:\n%s", s.Table())
	}
}

func search(t *testing.T, pid int, needles []Needle) *Search {
	t.Helper()
	s, err := Process(pid, needles)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
