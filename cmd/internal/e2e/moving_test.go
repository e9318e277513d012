//go:build linux

package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// moved is a daemon with a vault that the software token opens.
func moved(t *testing.T) *Daemon {
	t.Helper()
	d := NewDaemon(t, plainPrograms(t), []string{"PCSCLITE_CSOCK_NAME=/nonexistent"})
	d.Start()
	d.OK("", "init", "--token", "soft", "--pin-file", File(t, "correct horse battery"), "--recovery-password-file", File(t, "staple correct horse"))
	return d
}

// TestImportMany brings in as many accounts as anybody has, with notes that make
// the request larger than any other, in one step; and hands them out again.
func TestImportMany(t *testing.T) {
	t.Parallel()
	const n = 10_000
	d := moved(t)
	type login struct {
		Username string `json:"username"`
		TOTP     string `json:"totp"`
	}
	type item struct {
		Type  int    `json:"type"`
		Name  string `json:"name"`
		Notes string `json:"notes"`
		Login login  `json:"login"`
	}
	var file struct {
		Encrypted bool   `json:"encrypted"`
		Items     []item `json:"items"`
	}
	note := strings.Repeat("what there is to say of it; ", 40)
	for i := range n {
		var seed [20]byte
		binary.BigEndian.PutUint64(seed[:], uint64(i))
		file.Items = append(file.Items, item{1, fmt.Sprintf("Service %d", i%977), note,
			login{fmt.Sprintf("user%05d@example.org", i), base32.StdEncoding.EncodeToString(seed[:])}})
	}
	data, err := json.Marshal(file)
	if err != nil || len(data) < 10<<20 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	path := filepath.Join(t.TempDir(), "bitwarden.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := d.OK("", "import", path, "--apply")
	if !strings.Contains(r.Stderr, "read 10000, imported 10000, same 0, skipped 0") {
		t.Fatalf("%.2000s", r.Stderr)
	}
	t.Logf("imported after %v", r.Took)
	if r = d.OK("", "import", path, "--apply"); !strings.Contains(r.Stderr, "imported 0, same 10000") {
		t.Fatalf("%.2000s", r.Stderr)
	}
	out := filepath.Join(t.TempDir(), "out.json")
	r = d.OK("", "export", "--format", "aegis", "--output", out, "--password-file", File(t, "exported by password"), "--yes")
	t.Logf("exported after %v", r.Took)
	if r = d.OK("", "import", out, "--password-file", File(t, "exported by password"), "--apply"); !strings.Contains(r.Stderr, "imported 0, same 10000") {
		t.Fatalf("%.2000s", r.Stderr)
	}
	var list ipc.AccountList
	d.JSON(&list, "account", "list")
	if len(list.Accounts) != n || list.Accounts[0].Name != "user00000@example.org" || list.Accounts[n-1].Name != "user09999@example.org" || list.Accounts[7].Note == "" {
		t.Errorf("%d accounts, out of order, or without their notes", len(list.Accounts))
	}
}

// TestImportHostile gives tokenctl files that were made to hang, to fill the
// memory or to break it. Each is refused within bounds, by a report.
func TestImportHostile(t *testing.T) {
	d := moved(t)
	dir := t.TempDir()
	bomb := func(size int) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		f, err := w.Create("export.data")
		zeros := make([]byte, 1<<20)
		for n := 0; n < size && err == nil; n += len(zeros) {
			_, err = f.Write(zeros)
		}
		if err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	png := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x01\x86\xa0\x00\x01\x86\xa0\x08\x00\x00\x00\x00")
	scrypt := `{"version":1,"header":{"slots":[{"type":1,"key":"` + strings.Repeat("00", 32) + `","key_params":{"nonce":"` + strings.Repeat("00", 12) + `","tag":"` + strings.Repeat("00", 16) +
		`"},"n":1073741824,"r":8,"p":16,"salt":"00"}],"params":{"nonce":"` + strings.Repeat("00", 12) + `","tag":"` + strings.Repeat("00", 16) + `"}},"db":"AAAA"}`
	cases := map[string]struct {
		data func() []byte
		exit []int
	}{
		"deep lists":    {func() []byte { return bytes.Repeat([]byte("["), 32<<20) }, []int{2, 18}},
		"deep objects":  {func() []byte { return bytes.Repeat([]byte(`{"a":`), 8<<20) }, []int{2, 18}},
		"zip bomb":      {func() []byte { return bomb(512 << 20) }, []int{2}},
		"huge picture":  {func() []byte { return png }, []int{2, 18}},
		"scrypt":        {func() []byte { return []byte(scrypt) }, []int{2}},
		"long line":     {func() []byte { return bytes.Repeat([]byte("otpauth://"), 4<<20) }, []int{2, 11, 20}},
		"quotes":        {func() []byte { return append([]byte("name,totp\n"), bytes.Repeat([]byte(`"`), 32<<20)...) }, []int{2, 11, 20}},
		"many elements": {func() []byte { return append([]byte("<map>"), bytes.Repeat([]byte("<a/>"), 8<<20)...) }, []int{2, 18}},
		"SQLite": {func() []byte {
			return append([]byte("SQLite format 3\x00"), bytes.Repeat([]byte{0x02, 0x00}, 1<<20)...)
		}, []int{2, 18}},
		"Java":      {func() []byte { return append([]byte("\xac\xed\x00\x05sr"), bytes.Repeat([]byte{0x73}, 4<<20)...) }, []int{18}},
		"too large": {func() []byte { return make([]byte, 65<<20) }, []int{2}},
		"no text":   {func() []byte { return bytes.Repeat([]byte{0xff, 0xfe, 0x00, 0xd8}, 4<<20) }, []int{2, 18}},
	}
	password := File(t, "whatever it may be")
	for name, c := range cases {
		path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
		if err := os.WriteFile(path, c.data(), 0o600); err != nil {
			t.Fatal(err)
		}
		// What a process has, and had at most, when it starts another counts for that, too.
		debug.FreeOSMemory()
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			t.Log(err)
		}
		cmd := exec.Command(d.Programs.Path("tokenctl"), "--socket", d.Socket, "import", path, "--apply", "--password-file", password)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		_ = cmd.Run()
		usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		exit, memory := cmd.ProcessState.ExitCode(), usage.Maxrss>>10
		t.Logf("%s: exit %d, %d MiB, %v: %.120q", name, exit, memory, cmd.ProcessState.UserTime(), stderr.String())
		if !slices.Contains(c.exit, exit) || strings.Contains(stderr.String(), "goroutine ") {
			t.Errorf("%s: exit %d\n%.2000s", name, exit, stderr.String())
		}
		const most = 1536 // MiB; a file of 64 MiB is held several times over
		if memory > most {
			t.Errorf("%s: it took %d MiB", name, memory)
		}
	}
	if r := d.OK("", "account", "list"); r.Stdout != "" {
		t.Errorf("something was imported: %s", r.Stdout)
	}
}
