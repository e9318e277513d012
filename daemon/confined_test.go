package daemon_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/daemon"
)

// TestDoctorOnConfinement has the doctor judge what helpers say of themselves.
func TestDoctorOnConfinement(t *testing.T) {
	all := []string{"no-new-privs", "no-core", "landlock-7", "seccomp", "pcscd-only"}
	for name, c := range map[string]struct {
		says  []string
		level string // none: no finding
		names string
	}{
		"not asked yet": {nil, "", ""}, "all": {all, "ok", "landlock-7"}, "nothing": {[]string{}, "note", ""},
		"no landlock": {append([]string{"no-new-privs"}, all[3:]...), "note", "Landlock"}, "no seccomp": {all[:3], "note", "seccomp"},
		"another word": {[]string{"landlocked", "seccomp"}, "note", "Landlock"},
	} {
		d := start(t, func(cfg *daemon.Config) { cfg.HelperConfined = func() []string { return c.says } })
		f, err := d.Doctor(t.Context(), caller("1000"))
		if err != nil {
			t.Fatal(err)
		}
		level := ""
		for _, found := range f.Findings {
			if found.Code != "helper-confined" {
				continue
			}
			level = found.Level
			if (runtime.GOOS == "linux" || level == "ok") && !strings.Contains(found.Message, c.names) {
				t.Errorf("%s: %s", name, found.Message)
			}
		}
		if level != c.level {
			t.Errorf("%s: level %q, want %q", name, level, c.level)
		}
	}
}
