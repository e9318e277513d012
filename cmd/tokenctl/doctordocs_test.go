package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// notFindings are codes of notices and warnings of other commands, which the doctor
// does not tell.
func notFindings() []string {
	return []string{"old-copies", "old-epoch", "old-files", "opens-authority", "other-vault", "purge-unfinished", "undo-dropped", "signer-changed",
		"signer-unproved", "backup-opened", "vault-notice", "not-hardware"}
}

// TestDoctorIsDocumented: each code in the source has its section in docs/doctor.md,
// and each section a code.
func TestDoctorIsDocumented(t *testing.T) {
	known := map[string]bool{"daemon-unreachable": true, "service-piv": true, "service-fido2": true}
	look := func(pattern string, expressions ...string) {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range expressions {
				for _, m := range regexp.MustCompile(x).FindAllStringSubmatch(string(text), -1) {
					known[m[1]] = true
				}
			}
		}
	}
	const found, field = `found\(level\w*, "([a-z0-9-]+)"`, `Code:\s+"([a-z0-9-]+)"`
	look("../../daemon/*.go", found, field, `code\w+ = "([a-z-]+)"`)
	look("../../daemon/authority/desk/*.go", field)
	look("doctor*.go", field)
	look("../../ipc/types_backups.go", `Backup\w+\s+= "([a-z-]+)"`)
	look("../../tokens/tokens.go", `Warning = "([a-z-]+)"`)
	for _, c := range notFindings() {
		if !known[c] {
			t.Errorf("there is no %s any more", c)
		}
		delete(known, c)
	}
	delete(known, "token-") // a family
	codes, err := os.ReadFile("../../tokens/errors.go")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^### `([a-z0-9-]+)`$").FindAllStringSubmatch(string(guide), -1) {
		rest, family := strings.CutPrefix(m[1], "token-")
		if !known[m[1]] && !(family && strings.Contains(string(codes), `Code = "`+rest+`"`)) {
			t.Errorf("nothing has the code %s", m[1])
		}
		delete(known, m[1])
	}
	for code := range known {
		t.Errorf("docs/doctor.md does not explain %s", code)
	}
}
