package secret_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/daemon/secret"
)

// childEnv makes this test program, started again, do what its value names.
const childEnv = "TOKEND_SECRET_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "count-with", "count-without":
		do := func(f func()) { f() }
		if os.Getenv(childEnv) == "count-with" {
			do = secret.Do
		}
		if err := countChild(do); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "hardened":
		if err := secret.HardenProcess(); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fallthrough
	case "plain":
		var lim unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_CORE, &lim)
		dumpable, _ := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
		fmt.Printf("core=%d/%d dumpable=%d\n", lim.Cur, lim.Max, dumpable)
		// The runtime prints its stacks and, under GOTRACEBACK=crash, aborts. A
		// signal sent to a program whose goroutines all wait would do the same, but
		// two threads can then find a reason to die at once, and wait for each other.
		panic("a crash, to see whether it leaves a core file")
	}
}

// child runs this program again as mode, with core files allowed, and lets it
// crash. It returns the first line the child said and how it ended.
func child(t *testing.T, mode string) (string, syscall.WaitStatus) {
	t.Helper()
	cmd := exec.Command("sh", "-c", `ulimit -c 1000000 2>/dev/null; exec "$0"`, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+mode, "GOTRACEBACK=crash")
	cmd.Dir = t.TempDir()
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Run(); err == nil {
		t.Fatalf("%s: the child did not crash", mode)
	}
	line, _, _ := strings.Cut(out.String(), "\n")
	return line, cmd.ProcessState.Sys().(syscall.WaitStatus)
}

func TestHardenProcessLeavesNoCore(t *testing.T) {
	line, status := child(t, "plain")
	if !strings.HasSuffix(line, "dumpable=1") {
		t.Fatalf("the child without hardening says %q", line)
	}
	t.Logf("without hardening: %s, %v, core %v", line, status.Signal(), status.CoreDump())
	line, status = child(t, "hardened")
	if line != "core=0/0 dumpable=0" {
		t.Errorf("the hardened child says %q", line)
	}
	if !status.Signaled() || status.CoreDump() {
		t.Errorf("the hardened child ended with %v, core %v", status.Signal(), status.CoreDump())
	}
}

// TestBufferIsLocked reads from the kernel's own account that a buffer's page is
// locked (lo), not dumped (dd) and not given to children (wf).
func TestBufferIsLocked(t *testing.T) {
	b := secret.From([]byte("in locked memory"))
	defer b.Wipe()
	if !b.Locked() {
		var lim unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_MEMLOCK, &lim)
		if lim.Cur >= 1<<16 {
			t.Fatalf("not locked although %d bytes may be", lim.Cur)
		}
	}
	flags := vmFlags(t, uintptr(unsafe.Pointer(unsafe.SliceData(b.Bytes()))))
	want := []string{"dd", "wf"}
	if b.Locked() {
		want = append(want, "lo")
	}
	for _, f := range want {
		if !strings.Contains(" "+flags+" ", " "+f+" ") {
			t.Errorf("the page's flags are %q, %s is missing", flags, f)
		}
	}
}

// vmFlags returns the VmFlags line of smaps for the mapping that holds addr.
func vmFlags(t *testing.T, addr uintptr) string {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	here := false
	for s := bufio.NewScanner(f); s.Scan(); {
		var lo, hi uintptr
		if n, _ := fmt.Sscanf(s.Text(), "%x-%x ", &lo, &hi); n == 2 {
			here = addr >= lo && addr < hi
		}
		if flags, ok := strings.CutPrefix(s.Text(), "VmFlags: "); ok && here {
			return strings.TrimSpace(flags)
		}
	}
	t.Fatalf("no mapping holds %x", addr)
	return ""
}

// TestWhatDoLeavesBehind lets two processes make the same copies of a marker on
// heap and stack, one in Do and one without, and count those that their writable
// memory still holds after two garbage collections. Where Do erases nothing, and
// without Do, there must be some, or the count proves nothing.
func TestWhatDoLeavesBehind(t *testing.T) {
	without, with := left(t, "count-without"), left(t, "count-with")
	t.Logf("erasing build: %v; copies left of at least %d made: %d without Do, %d with Do",
		secret.Hardened, rounds*4, without, with)
	if without < rounds/10 || !secret.Hardened && with < rounds/10 {
		t.Fatal("too few copies were found where nothing erases them: the search sees nothing")
	}
	// The runtime may keep a stray copy (a spilled register, a signal frame).
	if secret.Hardened && with > 2 {
		t.Errorf("%d copies are left after Do", with)
	}
}

// left runs this program again to handle and count markers.
func left(t *testing.T, mode string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+mode)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", mode, err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatalf("%s said %q", mode, out)
	}
	return n
}

// countChild is the process that left starts.
func countChild(do func(func())) error {
	masked := maskedMarker()
	do(func() { handle(masked, rounds) })
	// Not Collect: memory given back to the system would be gone either way.
	runtime.GC()
	runtime.GC()
	n, err := count(masked)
	if err != nil {
		return err
	}
	fmt.Println(n)
	return nil
}

// rounds is how often the marker is handled; each makes at least four copies.
const rounds = 200

const mask = 0x5a

// maskedMarker returns 32 random bytes, which XOR mask give the marker: so the
// marker itself is in memory only where handle puts it.
func maskedMarker() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return b
}

// handle does with the marker what a daemon does with a secret: copies it, makes
// strings of it, encodes it, computes with it, on a deep stack too.
//
//go:noinline
func handle(masked []byte, rounds int) int {
	sum := 0
	for range rounds {
		var onStack [64]byte
		for i, c := range masked {
			onStack[i] = c ^ mask
		}
		key := bytes.Clone(onStack[:len(masked)])
		text := string(key) + "-"
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(text))
		doc, _ := json.Marshal(map[string][]byte{"secret": key})
		back, _ := base64.StdEncoding.DecodeString(base64.StdEncoding.EncodeToString(key))
		grown := append(append([]byte(nil), back...), doc...)
		sum += len(mac.Sum(nil)) + len(grown) + deep(onStack, 30)
	}
	return sum
}

//go:noinline
func deep(b [64]byte, n int) int {
	if n == 0 {
		return int(b[0])
	}
	return deep(b, n-1) + int(b[n])
}

// count searches all writable memory of this process for the marker.
func count(masked []byte) (int, error) {
	const chunk = 1 << 20
	// The window that the search reads into is a mapping of its own, left out
	// of the search: it would find what it has just read.
	window, err := unix.Mmap(-1, 0, chunk, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return 0, err
	}
	defer unix.Munmap(window)
	own := uintptr(unsafe.Pointer(unsafe.SliceData(window)))
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return 0, err
	}
	defer mem.Close()
	found, read := 0, 0
	for line := range strings.Lines(string(maps)) {
		var lo, hi uintptr
		var perm string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &lo, &hi, &perm); n != 3 || !strings.HasPrefix(perm, "rw") {
			continue
		}
		for at := lo; at < hi; {
			if at >= own && at < own+chunk {
				at = own + chunk
				continue
			}
			end := min(at+chunk, hi)
			if at < own && end > own {
				end = own
			}
			n, _ := mem.ReadAt(window[:end-at], int64(at))
			found += search(window[:n], masked)
			read += n
			if end == hi {
				break
			}
			at = end
			if at != own { // overlap, for markers across two windows
				at -= uintptr(len(masked)) - 1
			}
		}
	}
	if read < chunk {
		return 0, fmt.Errorf("only %d bytes of memory could be read", read)
	}
	return found, nil
}

func search(hay, masked []byte) int {
	n, first := 0, masked[0]^mask
	for i := 0; i+len(masked) <= len(hay); i++ {
		if hay[i] != first {
			continue
		}
		j := 1
		for j < len(masked) && hay[i+j]^mask == masked[j] {
			j++
		}
		if j == len(masked) {
			n++
		}
	}
	return n
}
