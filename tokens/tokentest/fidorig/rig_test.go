//go:build linux

package fidorig

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tokenbridge/tokend/tokens/tokentest/vfido"
)

// under runs a program with an environment.
func under(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return string(out)
}

func newKey(t *testing.T) *vfido.Key {
	t.Helper()
	k, err := vfido.New(vfido.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// plugAndList puts keys in and pulls them out and looks at what is listed.
func plugAndList(t *testing.T, r *Rig) {
	t.Helper()
	list := func(want ...int) {
		t.Helper()
		out := under(t, r.Env(), "fido2-token", "-L")
		if strings.Count(out, "\n") != len(want) {
			t.Errorf("want ports %v: %q", want, out)
		}
		for _, n := range want {
			if !strings.Contains(out, r.Path(n)+": vendor=0x1050, product=0x0407 (Yubico YubiKey") {
				t.Errorf("port %d is not in %q", n, out)
			}
		}
	}
	list()
	a, b := newKey(t), newKey(t)
	if err := r.Insert(a, 0); err != nil {
		t.Fatal(err)
	}
	list(0)
	if err := r.Insert(b, 2); err != nil {
		t.Fatal(err)
	}
	list(0, 2)
	if r.Insert(b, 1) == nil || r.Insert(newKey(t), 2) == nil || r.Insert(newKey(t), 3) == nil || r.Remove(-1) == nil {
		t.Error("a taken key, a taken port or no port takes a key")
	}
	list(0, 2)
	if out := under(t, r.Env(), "fido2-token", "-I", r.Path(2)); !strings.Contains(out, "FIDO_2_1") || b.Counts().Commands["getInfo"] == 0 {
		t.Errorf("%s", out)
	}
	// The same key is reached without umockdev by the path of its port.
	if out := under(t, nil, "fido2-token", "-I", r.Port(2).Path()); !strings.Contains(out, "FIDO_2_1") {
		t.Errorf("%s", out)
	}
	for range 2 { // twice is once
		if err := r.Remove(0); err != nil {
			t.Fatal(err)
		}
	}
	list(2)
	if err := r.Insert(a, 0); err != nil {
		t.Fatal(err)
	}
	list(0, 2)
	if r.Key(0) != a || r.Key(1) != nil {
		t.Error("the keys are in other ports")
	}
}

func TestEnumerate(t *testing.T) {
	r, err := New(t.Context(), Options{Ports: 3})
	if err != nil {
		t.Fatal(err)
	}
	plugAndList(t, r)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(r.dir); !os.IsNotExist(err) {
		t.Errorf("umockdev's folder is left: %v", err)
	}
}

// TestUnderMain runs this test program again as Main would: there, it is
// TestInherited that runs.
func TestUnderMain(t *testing.T) {
	r := Start(t, Options{Ports: 3})
	out := under(t, append(r.Env(), inherited+"=3"), os.Args[0], "-test.run=^TestInherited$", "-test.v")
	if !strings.Contains(out, "--- PASS: TestInherited") {
		t.Errorf("%s", out)
	}
}

func TestInherited(t *testing.T) {
	if os.Getenv(inherited) == "" {
		if _, err := Inherited(); err == nil {
			t.Error("there is a rig to inherit")
		}
		return
	}
	r, err := Inherited()
	if err != nil {
		t.Fatal(err)
	}
	plugAndList(t, r)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{{Ports: 17}, {Ports: -1}, {Name: "a\nb"}} {
		if _, err := New(t.Context(), o); err == nil {
			t.Errorf("%+v makes a rig", o)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(ctx, Options{}); err == nil {
		t.Error("a rig is made after its context's end")
	}
}
