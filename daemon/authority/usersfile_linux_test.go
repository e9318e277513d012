package authority

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// usersfileReader has liboath, as Debian packages it, verify passcodes from a users
// file: it reads {user, passcode} by the line and answers with the seconds that each
// took, or with liboath's code of the failure.
const usersfileReader = `
import ctypes, json, sys, time
oath = ctypes.CDLL("liboath.so.0")
assert oath.oath_init() == 0
verify = oath.oath_authenticate_usersfile
verify.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.POINTER(ctypes.c_long)]
last = ctypes.c_long()
for line in sys.stdin:
    q = json.loads(line)
    began = time.perf_counter()
    rc = verify(sys.argv[1].encode(), q["user"].encode(), q["code"].encode(), 10, None, ctypes.byref(last))
    print(json.dumps({"rc": rc, "seconds": time.perf_counter() - began}), flush=True)
`

// writeUsersfile writes the users of the benchmark in liboath's format.
func writeUsersfile(b *testing.B, path string, n int) {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriter(f)
	for i := range n {
		_, _ = fmt.Fprintf(w, "HOTP\t%s\t-\t%s\n", userOf(i), hex.EncodeToString(scaleSeed(i).Secret))
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkUsersfile verifies passcodes of the same users by turns with an authority
// and with liboath's users file, in the same folder of the same disk.
func BenchmarkUsersfile(b *testing.B) {
	const tries = 20
	n := scale(b)
	a, dir := scaled(b, os.TempDir(), n)
	defer func() { _ = a.Close() }()
	users := filepath.Join(dir, "users.oath")
	writeUsersfile(b, users, n)
	reader := exec.CommandContext(b.Context(), "/usr/bin/python3", "-c", usersfileReader, users)
	reader.Stderr = os.Stderr
	in, err := reader.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := reader.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		b.Fatal(err)
	}
	answers := json.NewDecoder(out)
	var ours, theirs []time.Duration
	for range tries {
		i := rand.IntN(n)
		code := scaleCode(i, 0)
		began := time.Now()
		if v, err := a.Verify(b.Context(), Attempt{Service: "vpn", User: userOf(i), Passcode: code}); err != nil || !v.Accepted {
			b.Fatal("the authority: ", v, err)
		}
		ours = append(ours, time.Since(began))
		if err := json.NewEncoder(in).Encode(map[string]string{"user": userOf(i), "code": string(code)}); err != nil {
			b.Fatal(err)
		}
		var answer struct {
			RC      int     `json:"rc"`
			Seconds float64 `json:"seconds"`
		}
		if err := answers.Decode(&answer); err != nil || answer.RC != 0 {
			b.Fatal("liboath: ", answer.RC, err)
		}
		theirs = append(theirs, time.Duration(answer.Seconds*float64(time.Second)))
	}
	if err := in.Close(); err != nil {
		b.Fatal(err)
	}
	if err := reader.Wait(); err != nil {
		b.Fatal(err)
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	b.Logf("%d users: the authority takes %v, liboath %v (medians of %d), %.0f times as long",
		n, ours[tries/2], theirs[tries/2], tries, theirs[tries/2].Seconds()/ours[tries/2].Seconds())
}
