//go:build linux

package e2e

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
)

// scenes are where what the doctor finds is caused, by the names of their tests, with
// the codes that each of them has.
func scenes() map[string]scene {
	return map[string]scene{
		"backups": {doctorBackups, []string{"no-backup", "backup-same-disk", "backup-in-memory", "backup-stale", "backup-failing", "backup-absent", "backup-lost", "backup-unopened",
			"backup-spool", "backup-unproved", "backup-tokens-only", "no-backup-destination", "accounts-dropped"}},
		"vault":   {doctorVault, []string{"no-recovery-password", "recovery-unchecked", "state-folder", "grants-damaged", "revoked-before", "put-aside", "vault", "read-only", "audit"}},
		"machine": {doctorMachine, []string{"helper", "daemon-unreachable", "socket", "config", "metrics-textfile", "disk", "terminal", "socket-environment"}},
		"card": {doctorCard, []string{"token-not-present", "single-token", "software-token", "factory-pin", "factory-puk", "factory-management-key", "pin-last-try", "pin-blocked",
			"token", "service-piv", "tokens", "token-reset", "recovery-only"}},
		"keys": {doctorKeys, []string{"token-invalid", "token-pin-not-set", "token-pin-change", "token-unsupported", "token-timeout", "token-protocol", "token-pin-paused", "token-last-try",
			"token-pin-blocked", "no-pin", "pin-bypass"}},
		"authority": {doctorAuthority, []string{"authority-listen", "authority-mail", "authority-policy", "authority-verifier", "authority", "authority-older", "authority-audit-cut",
			"authority-audit"}},
		"key of an authority": {doctorAuthorityKey, []string{"authority-locked"}},
	}
}

type scene struct {
	play  func(*testing.T) *ward
	codes []string
}

// notCaused are the codes that no scene causes, and why.
func notCaused() map[string]string {
	const installed = "TestMachineFindings of cmd/tokenctl causes it in the files of another root, and has the real installing command mend it"
	const onlyOK = "it is told where all is well"
	return map[string]string{
		"udev-rule": installed, "polkit-rule": installed, "polkit": installed, "polkit-actions": installed,
		"socket-rights":      "systemd's part is played, in TestMachineFindings of cmd/tokenctl",
		"clock-synchronised": "the clock of the machine that tests run on is everybody's; played in TestMachineFindings",
		"clock":              "the same; TestTheClockIsBehind in package daemon sets its own",
		"bus":                "nothing but the message is told: TestBusIsTold in package daemon",
		"version":            "two versions of the programs are not built for tests",
		"helper-confined":    "the kernel that tests run on confines: TestDoctorOnConfinement in package daemon judges others",
		"service-fido2":      "a helper without libfido2 is another build, and make build, which mends it, is how tests build theirs",
		"token-service":      "status tells it; the doctor tells the same as service-piv",
		"vault-damaged":      "status tells it; the doctor tells the same as vault",
		"vault-gone":         "what it advises saves accounts, and brings no files back: daemon's tests of files that went",
		"token-busy":         "a card that another program keeps to itself is waited for, and told as token",
		"token-no-access":    "root may open all devices: TestAKeyThatMayNotBeOpened in package daemon",
		"token-removed":      "it is told in the moment in which a token is pulled out, and not after",
		"token-pin-required": "a finger is needed that is not recognised: package fido2 has it",
		"no-touch":           "it tells what a token cannot do, and nothing changes that",
		"unknown-policy":     "the same",
		"daemon":             onlyOK, "recovery-password": onlyOK, "backup-destination": onlyOK, "last-backup": onlyOK,
	}
}

// TestDoctor causes what the doctor finds, types what it advises, and sees it gone.
func TestDoctor(t *testing.T) {
	t.Parallel()
	if NeedRoot(t) {
		return
	}
	for name, s := range scenes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := slices.Sorted(maps.Keys(s.play(t).seen))
			if want := slices.Sorted(slices.Values(s.codes)); !slices.Equal(seen, want) {
				t.Errorf("caused and mended were %q, not %q", seen, want)
			}
		})
	}
}

// TestDoctorIsCaused: each code of docs/doctor.md is caused in a scene, or it is said why
// not.
func TestDoctorIsCaused(t *testing.T) {
	guide, err := os.ReadFile("../../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	caused, not := map[string]bool{}, notCaused()
	for _, s := range scenes() {
		for _, code := range s.codes {
			caused[code] = true
		}
	}
	known := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^### `([a-z0-9-]+)`$").FindAllStringSubmatch(string(guide), -1) {
		code := m[1]
		known[code] = true
		if caused[code] == (not[code] != "") {
			t.Errorf("%s is caused: %v; why not: %q", code, caused[code], not[code])
		}
	}
	for code := range caused {
		if !known[code] {
			t.Errorf("docs/doctor.md does not know %s", code)
		}
	}
	for code := range not {
		if !known[code] {
			t.Errorf("docs/doctor.md does not know %s, which is not caused", code)
		}
	}
}
