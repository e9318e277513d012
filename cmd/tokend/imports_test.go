package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tokenbridge/tokend/"

// deps is all that a package and its dependencies link, as the go tool sees it.
func deps(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", module+pkg).CombinedOutput()
	if err != nil {
		t.Fatalf("go list -deps %s: %v\n%s", pkg, err, out)
	}
	return strings.Fields(string(out))
}

// direct is what a package's own files import, by package, for all packages
// under a folder.
func direct(t *testing.T, pattern string) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", module+pattern).CombinedOutput()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", pattern, err, out)
	}
	found := make(map[string][]string)
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		f := strings.Fields(line)
		found[strings.TrimPrefix(f[0], module)] = f[1:]
	}
	return found
}

// ours is what is ours among imports, without the module's name.
func ours(imports []string) []string {
	var list []string
	for _, i := range imports {
		if rest, ok := strings.CutPrefix(i, module); ok {
			list = append(list, rest)
		}
	}
	return list
}

func under(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

// TestImportDirections holds the direction of imports: what a package may
// import, of ours.
func TestImportDirections(t *testing.T) {
	allowed := []struct {
		folder string
		may    []string
	}{
		{"daemon/archive", nil},
		{"daemon/secret", nil},
		{"daemon/otp", nil},
		{"daemon/audit", nil},
		{"daemon/vault", []string{"tokens", "daemon/archive", "daemon/secret"}},
		{"daemon", []string{"ipc", "tokens", "daemon/archive", "daemon/audit", "daemon/otp", "daemon/secret", "daemon/vault"}},
		{"tokens/helper", []string{"tokens", "tokens/helper/wire"}},
		{"tokens/piv", []string{"tokens"}},
		{"tokens/soft", []string{"tokens"}},
		{"tokens", nil},
		{"ipc/local", []string{"ipc"}},
		{"ipc/httpapi", []string{"ipc", "ipc/local"}},
		{"ipc/client", []string{"ipc", "ipc/local"}},
		{"ipc", nil},
	}
	seen := 0
	for _, top := range []string{"daemon/...", "tokens/...", "ipc/..."} {
		for pkg, imports := range direct(t, top) {
			if under(pkg, "tokens/tokentest") {
				continue // not shipped
			}
			i := slices.IndexFunc(allowed, func(a struct {
				folder string
				may    []string
			}) bool {
				return under(pkg, a.folder)
			})
			if i < 0 {
				t.Errorf("%s stands in no line of the table", pkg)
				continue
			}
			seen++
			for _, imported := range ours(imports) {
				if !under(imported, allowed[i].folder) && !slices.Contains(allowed[i].may, imported) {
					t.Errorf("%s imports %s, which it must not", pkg, imported)
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d packages were looked at", seen)
	}
}

// TestPrograms holds what each program links.
func TestPrograms(t *testing.T) {
	for _, c := range []struct {
		program string
		never   []string
	}{
		{"cmd/tokend", []string{
			module + "tokens/piv", module + "tokens/fido2", module + "ipc/client", module + "tokens/tokentest",
			"github.com/go-piv/piv-go", "github.com/keys-pub/go-libfido2",
		}},
		{"cmd/tokend-helper", []string{module + "daemon", module + "ipc", module + "tokens/tokentest"}},
		{"cmd/tokenctl", []string{
			module + "tokens", module + "ipc/httpapi", "github.com/go-piv/piv-go", "github.com/keys-pub/go-libfido2",
		}},
	} {
		linked := deps(t, c.program)
		if len(linked) < 20 {
			t.Errorf("%s: go list names only %d packages", c.program, len(linked))
		}
		for _, pkg := range linked {
			for _, never := range c.never {
				if under(pkg, never) {
					t.Errorf("%s links %s", c.program, pkg)
				}
			}
			if rest, ok := strings.CutPrefix(pkg, module+"daemon"); ok && c.program == "cmd/tokenctl" && !under(rest, "/archive") {
				t.Errorf("tokenctl links %s", pkg)
			}
		}
	}
}
