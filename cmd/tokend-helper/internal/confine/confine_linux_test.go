package confine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/tokenbridge/tokend/cmd/tokend-helper/internal/confine"
)

// The test program is its own probe: started as the helper is, it is confined as
// the helper is. With "free" in place of the mode it is not.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "op", "watch", "free":
			os.Exit(probe())
		case "lacking":
			fmt.Fprintln(os.Stderr, lacking(os.Args[2], os.Args[3:]))
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// Kernels that lack a layer are played by a filter: the calls for it fail as they do
// there.
const (
	noLandlock = 1 << iota
	noSeccomp
	noMseal
)

// lacking becomes the program args on a kernel that lacks something.
func lacking(what string, args []string) error {
	bits, err := strconv.Atoi(what)
	if err != nil {
		return err
	}
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	is := func(k uint32, otherwise uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jf: otherwise}
	}
	answer := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	p := []unix.SockFilter{load(0)}
	if bits&noLandlock != 0 {
		p = append(p, is(unix.SYS_LANDLOCK_CREATE_RULESET, 1), answer(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	}
	if bits&noMseal != 0 {
		p = append(p, is(unix.SYS_MSEAL, 1), answer(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	}
	if bits&noSeccomp != 0 {
		p = append(p, is(unix.SYS_SECCOMP, 1), answer(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
		p = append(p, is(unix.SYS_PRCTL, 3), load(16), is(unix.PR_SET_SECCOMP, 1), answer(unix.SECCOMP_RET_ERRNO|uint32(unix.EINVAL)))
	}
	p = append(p, answer(unix.SECCOMP_RET_ALLOW))
	program := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	_, _, e := syscall.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if e != 0 {
		return e
	}
	return syscall.Exec(args[0], args, os.Environ())
}

func listen(t *testing.T, network, address string) string {
	t.Helper()
	if network == "udp" || network == "unixgram" {
		c, err := net.ListenPacket(network, address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c.LocalAddr().String()
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

func terminal(t *testing.T) string {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	return slave.Name()
}

func newPrey(t *testing.T) prey {
	t.Helper()
	// Not t.TempDir, whose paths are too long for a socket's.
	dir, err := os.MkdirTemp("", "confine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := prey{Dir: dir, Vault: filepath.Join(dir, "vault.tkv"), Device: filepath.Join(dir, "key")}
	if err := os.Mkdir(filepath.Join(dir, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vault.tkv", "spare", ".ssh/id"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.Socket = listen(t, "unix", filepath.Join(dir, "tokend.sock"))
	p.Datagram = listen(t, "unixgram", filepath.Join(dir, "datagram"))
	p.Abstract = listen(t, "unix", "@"+dir)
	p.TCP, p.UDP = listen(t, "tcp", "127.0.0.1:0"), listen(t, "udp", "127.0.0.1:0")
	p.Service = listen(t, "unix", filepath.Join(dir, "pcscd.comm"))
	if err := os.Symlink(terminal(t), p.Device); err != nil {
		t.Fatal(err)
	}
	p.Terminal = terminal(t)
	victim := exec.Command("sleep", "60")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { victim.Process.Kill(); victim.Wait() })
	p.Victim = victim.Process.Pid
	return p
}

// hunt runs a probe on fresh prey.
func hunt(t *testing.T, without int, mode, kind string, before ...string) report {
	t.Helper()
	p := newPrey(t)
	env := append(os.Environ(), "GORACE=atexit_sleep_ms=0", "PCSCLITE_CSOCK_NAME="+p.Service)
	if kind != "piv" {
		p.Service = ""
	}
	args := append(before, os.Args[0], mode, kind)
	if kind == "fido2" {
		args = append(args, p.Device)
	} else {
		p.Device = ""
	}
	if without != 0 {
		args = append([]string{os.Args[0], "lacking", strconv.Itoa(without)}, args...)
	}
	in, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Stdin = env, bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the probe failed: %v\n%s", err, stderr.String())
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

// landlockVersion is the kernel's.
func landlockVersion() int {
	v, _, e := syscall.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return 0
	}
	return int(v)
}

func versionOf(held []string) int {
	for _, word := range held {
		if v, ok := strings.CutPrefix(word, confine.Landlock); ok {
			n, _ := strconv.Atoi(v)
			return n
		}
	}
	return 0
}

func check(t *testing.T, r report, kind string, version int, filter bool) {
	t.Helper()
	if !slices.Contains(r.Held, confine.NoNewPrivs) || !slices.Contains(r.Held, confine.NoCore) {
		t.Errorf("held: %v", r.Held)
	}
	if versionOf(r.Held) != version || slices.Contains(r.Held, confine.Seccomp) != filter {
		t.Errorf("held: %v, want Landlock %d, seccomp %v", r.Held, version, filter)
	}
	expect := func(name string, refused bool) {
		t.Helper()
		got, tried := r.Results[name]
		if !tried {
			t.Errorf("%s: not tried", name)
		} else if (got != "") != refused {
			t.Errorf("%s: %q, want it refused: %v", name, got, refused)
		}
	}
	for _, a := range attempts() {
		by := a.seccomp
		if kind == "fido2" {
			by = a.fido2
		}
		if kind == "piv" && a.name == fromC {
			expect(a.name, true) // by our own connect, which is no barrier
			continue
		}
		expect(a.name, a.landlock > 0 && version >= a.landlock || filter && by)
	}
	for name := range nonsense() {
		if filter {
			expect("nonsense: "+name, true)
		} else if os.Geteuid() == 0 && r.Results["nonsense: "+name] != "" && version == 0 {
			t.Errorf("%s is refused to who is free: it proves nothing", name)
		}
	}
	for name, why := range r.Results {
		if what, ok := strings.CutPrefix(name, "seal: "); ok {
			permitted := strings.HasPrefix(what, "permitted") || what == "a copy of the address" && !filter
			if !filter && what == "mprotect" {
				continue // by mseal alone; TestSealedAddress
			}
			if filter || permitted {
				expect(name, !permitted)
			}
		} else if strings.HasPrefix(name, "permitted") && why != "" {
			t.Errorf("%s: %s", name, why)
		}
	}
}

// TestRefuses tries, as each kind of helper on each kind of kernel, what a helper
// that was taken over would do. The same attempts succeed where no layer is
// there to refuse them, and for a process that is not confined.
func TestRefuses(t *testing.T) {
	abi := landlockVersion()
	t.Logf("Landlock %d", abi) // with 0, seccomp's part alone is shown
	for _, kind := range kinds() {
		for name, c := range map[string]struct {
			without, version int
			filter           bool
		}{
			"all": {0, abi, true}, "no landlock": {noLandlock, 0, true}, "no seccomp": {noSeccomp, abi, false},
			"no mseal": {noMseal, abi, true}, "nothing": {noLandlock | noSeccomp | noMseal, 0, false},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) { check(t, hunt(t, c.without, "op", kind), kind, c.version, c.filter) })
		}
	}
	t.Run("free", func(t *testing.T) {
		r := hunt(t, 0, "free", "soft")
		check(t, r, "soft", 0, false)
	})
}

// TestOlderLandlock plays the kernels that have an older version: what the
// program asks of them must be what they know.
func TestOlderLandlock(t *testing.T) {
	for version := 1; version < landlockVersion(); version++ {
		t.Run(strconv.Itoa(version), func(t *testing.T) {
			inject := "inject=landlock_create_ruleset:retval=" + strconv.Itoa(version) + ":when=1"
			r := hunt(t, noSeccomp, "op", "soft", "/usr/bin/strace", "-f", "-o", "/dev/null", "-e", "trace=landlock_create_ruleset", "-e", inject)
			check(t, r, "soft", version, false)
		})
	}
}
