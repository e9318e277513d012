// Package packaging_test holds what the layout of the tree promises.
package packaging_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/tokenbridge/tokend"

// mayImport says which of our packages each of our packages may import, tests
// aside. "x/..." is x and all below it. A package that is not named here must
// be added, with a thought for the direction.
func mayImport() map[string][]string {
	return map[string][]string{
		"cmd/tokend":            {"cmd/commandtree", "daemon/...", "tokens", "tokens/helper", "tokens/remedy", "tokens/soft", "ipc", "ipc/local", "ipc/dbus", "ipc/httpapi", "ipc/remote"},
		"cmd/tokenctl":          {"cmd/commandtree", "cmd/tokenctl/...", "ipc", "ipc/client", "ipc/local", "daemon/archive", "daemon/drill", "daemon/secret", "packaging", "tokens/remedy", "udev"},
		"cmd/tokend-helper":     {"cmd/tokend-helper/internal/confine", "tokens", "tokens/piv/...", "tokens/fido2/...", "tokens/soft", "tokens/helper/wire", "daemon/secret"},
		"daemon":                {"daemon/acl", "daemon/vault", "daemon/managed", "daemon/authority/keyslot", "daemon/authority/message", "daemon/authority/webkey", "daemon/backup", "daemon/archive", "daemon/drill", "daemon/secret", "daemon/otp", "daemon/audit", "daemon/auditwire", "daemon/metrics", "ipc", "tokens", "tokens/remedy"},
		"daemon/acl":            {},
		"daemon/archive":        {"daemon/secret"},
		"daemon/backup":         {"daemon/vault", "daemon/archive"},
		"daemon/audit":          {},
		"daemon/auditwire":      {"daemon/audit", "ipc"},
		"daemon/authority":      {"daemon/authority/fob", "daemon/authority/store", "daemon/otp", "daemon/secret"},
		"daemon/authority/desk": {"daemon/audit", "daemon/auditwire", "daemon/authority", "daemon/authority/fob", "daemon/authority/issue", "daemon/authority/keyslot", "daemon/authority/mail", "daemon/authority/message", "daemon/authority/policy", "daemon/authority/remote", "daemon/authority/store", "daemon/otp", "daemon/secret", "ipc"},
		"daemon/drill":          {"daemon/archive", "daemon/otp"},
		"daemon/metrics":        {},
		"daemon/otp":            {},
		"daemon/secret":         {},
		"daemon/vault":          {"daemon/archive", "daemon/drill", "daemon/secret", "tokens"},
		"ipc":                   {},
		"ipc/client":            {"ipc", "ipc/local"},
		"ipc/dbus":              {"ipc", "ipc/local"},
		"ipc/httpapi":           {"ipc", "ipc/local"},
		"ipc/local":             {"ipc"},
		"ipc/remote":            {"ipc"},
		"tokens":                {},
		"udev":                  {},
		"tokens/fido2":          {"tokens", "tokens/fido2/hid"},
		"tokens/fido2/hid":      {},
		"tokens/helper":         {"tokens", "tokens/helper/wire"},
		"tokens/helper/wire":    {"tokens"},
		"tokens/piv":            {"tokens", "tokens/piv/pcsc", "tokens/remedy"},
		"tokens/piv/pcsc":       {},
		"tokens/remedy":         {},
		"tokens/soft":           {"tokens"},

		// What is computed of a fob's passcodes knows nothing of where it is kept.
		"daemon/authority/fob":   {"daemon/otp"},
		"daemon/authority/store": {"daemon/secret"},

		// Tokens' keyslots that hold an authority's key: bytes in, bytes out.
		"daemon/authority/keyslot": {"daemon/archive", "daemon/secret"},

		// A device of an authority: a vault, and messages that others carry.
		"daemon/managed": {"daemon/authority/message", "daemon/authority/webkey", "daemon/otp", "daemon/vault", "tokens"},

		// Who issues accounts keeps its records in the authority's file, and speaks in
		// messages that others carry.
		"daemon/authority/issue": {"daemon/authority", "daemon/authority/fob", "daemon/authority/message", "daemon/authority/policy", "daemon/authority/remote", "daemon/authority/store", "daemon/authority/webkey", "daemon/otp", "daemon/secret"},

		// Bytes in, accounts out: who reads foreign files speaks to nobody.
		"cmd/tokenctl/transfer": {"ipc", "daemon/archive"},
		// Bytes in, fobs out: the same for the seeds of hardware tokens.
		"cmd/tokenctl/seeds": {},
		// Who carries messages between devices and authorities reads nothing of them.
		"cmd/tokenctl/carry": {"ipc", "ipc/client", "daemon/authority/message"},
		// Who opens the user's folders knows backups by their container alone.
		"cmd/tokenctl/copies": {"daemon/archive"},

		// What commands a program has.
		"cmd/commandtree": {},
		// Mechanics of a desktop, which know nothing of what they carry.
		"cmd/tokenctl/desktop":  {},
		"cmd/tokenctl/pinentry": {},
		// What an authority decides by, and what it and devices say to each other:
		// text and bytes in, values out.
		"daemon/authority/policy":  {},
		"daemon/authority/message": {},
		// What a security key has signed: the same.
		"daemon/authority/webkey": {},
		// Who sends letters knows nothing of what they are about.
		"daemon/authority/mail": {},
		// Verifiers that are asked over the network: a question in, an answer out.
		"daemon/authority/remote":        {},
		"daemon/authority/remote/radius": {"daemon/authority/remote", "daemon/secret"},
		"daemon/authority/remote/duo":    {"daemon/authority/remote"},
	}
}

// anything may be imported by what is no part of a shipped program.
func anything(pkg string) bool {
	return under(pkg, "tokens/tokentest") || under(pkg, "packaging") || under(pkg, "cmd/internal/e2e") || under(pkg, "cmd/internal/vt")
}

func under(pkg, folder string) bool {
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}

func allowed(pkg string, list []string) bool {
	for _, a := range list {
		if folder, tree := strings.CutSuffix(a, "/..."); tree && under(pkg, folder) || pkg == a {
			return true
		}
	}
	return false
}

// pkg is what "go list" tells of a package.
type pkg struct {
	ImportPath string
	Imports    []string
	CgoFiles   []string
}

// list asks go for packages as a build for system would have them.
func list(t *testing.T, system string, args ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,CgoFiles"}, args...)...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOOS="+system)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.String())
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImportDirections(t *testing.T) {
	table := mayImport()
	for _, system := range []string{"linux", "darwin", "windows"} {
		for _, p := range list(t, system, "./...") {
			name := strings.TrimPrefix(p.ImportPath, module+"/")
			if anything(name) {
				continue
			}
			rule, known := table[name]
			for folder := path.Dir(name); !known && folder != "."; folder = path.Dir(folder) {
				// What lies below a program belongs to it.
				if strings.HasPrefix(folder, "cmd/") {
					rule, known = table[folder]
				}
			}
			if !known {
				t.Errorf("%s: say in mayImport what it may import", name)
				continue
			}
			for _, i := range p.Imports {
				ours, is := strings.CutPrefix(i, module+"/")
				if is && !allowed(ours, rule) {
					t.Errorf("%s (%s): %s must not import %s", name, system, name, ours)
				}
			}
		}
	}
}

// TestLinkage holds what each program is linked with: only the helper has code
// of device libraries in it, and none has code of tests. tokenctl has daemon/otp
// by way of daemon/drill: a backup is verified, codes and all, without a daemon. It
// has daemon/authority/message, which knows links and texts for carrying, and
// nothing else of the authority; and tokens/remedy, which knows commands and no token.
func TestLinkage(t *testing.T) {
	for program, forbidden := range map[string][]string{
		"cmd/tokend":        {module + "/ipc/client", module + "/tokens/piv", module + "/tokens/fido2", "github.com/go-piv/", "github.com/keys-pub/", module + "/tokens/tokentest", "testing"},
		"cmd/tokenctl":      {module + "/tokens", module + "/daemon/vault", module + "/daemon/authority/desk", module + "/daemon/authority/issue", module + "/daemon/authority/store", module + "/ipc/httpapi", module + "/ipc/dbus", "github.com/go-piv/", "github.com/keys-pub/", "testing"},
		"cmd/tokend-helper": {module + "/cmd/tokend-helper/internal/confine/confinetest", module + "/daemon/vault", module + "/daemon/authority", module + "/ipc", module + "/tokens/tokentest", "net/http", "testing"},
	} {
		for _, system := range []string{"linux", "darwin", "windows"} {
			linked := list(t, system, "-deps", "./"+program)
			if len(linked) < 20 {
				t.Errorf("%s (%s): go list names only %d packages", program, system, len(linked))
			}
			for _, p := range linked {
				if p.ImportPath == module+"/tokens/remedy" {
					continue
				}
				for _, f := range forbidden {
					if p.ImportPath == f || strings.HasPrefix(p.ImportPath, strings.TrimSuffix(f, "/")+"/") {
						t.Errorf("%s (%s) is linked with %s", program, system, p.ImportPath)
					}
				}
				if strings.HasPrefix(p.ImportPath, module) && len(p.CgoFiles) > 0 && program != "cmd/tokend-helper" {
					t.Errorf("%s (%s) has cgo in %s", program, system, p.ImportPath)
				}
			}
		}
	}
}
