//go:build unix

package main

import (
	"strings"
	"testing"
)

// problemsOf are the problems of a file with a text.
func problemsOf(t *testing.T, text string) []problem {
	t.Helper()
	return checkConfig(writeConfig(t, text), false).Problems
}

// TestRemediesMakeNoOtherError: what is there already is not written once more.
func TestRemediesMakeNoOtherError(t *testing.T) {
	for text, want := range map[string]string{
		"[sesion]\nidle_lock = \"5m\"\n":                                                     "write [session]",
		"[sesion]\nidle_lock = \"5m\"\n[session]\nhard_lock = \"1h\"\n":                      "move its settings below [session], line 3",
		"[session]\nhard_lock = \"1h\"\n[Session]\nidle_lock = \"5m\"\n":                     "move its settings below [session], line 1: names are written in small letters",
		"[sesion]\nhard_lock = \"1h\"\n[session]\nhard_lock = \"2h\"\n":                      "move its settings below [session], line 3; of what is there already, keep one: hard_lock (line 4)",
		"session = { hard_lock = \"1h\" }\n[sesion]\nidle_lock = \"5m\"\n":                   "move its settings into the braces of session, line 1",
		"session.hard_lock = \"1h\"\n[sesion]\nidle_lock = \"5m\"\n":                         "move its settings to line 1, with \"session.\" before the name",
		"sesion = { hard_lock = \"1h\" }\n":                                                  "write session",
		"[session]\nIdle_Lock = \"1m\"\nidle_lock = \"1m\"\n":                                "session.idle_lock is there in line 3 too: keep one of them, by that name: names are written in small letters",
		"[session]\nidle_lok = \"1m\"\nidle_lock = \"1m\"\n":                                 "if session.idle_lock is meant, session.idle_lock is there in line 3 too: keep one of them, by that name; else remove the line",
		"[mail]\nlisten = \"192.0.2.1:7443\"\n[authority]\nkey = \"file\"\n":                 "if authority.listen is meant, move listen below [authority], line 3; else remove the line",
		"[mail]\nlisten = \"192.0.2.1:7443\"\n[authority]\nlisten = \"192.0.2.1:7443\"\n":    "if authority.listen is meant, authority.listen is there in line 4 too: keep one of them, by that name; else remove the line",
		"[mail]\nlisten = \"192.0.2.1:7443\"\n":                                              "if authority.listen is meant, write listen below [authority]; else remove the line",
		"[session]\nhard_lock = \"1h\"\n[mail]\nsession.idle_lock = \"5m\"\n":                "move its settings below [session], line 1",
		"session = { idle_lock = \"5m\", hard = \"1h\" }\n":                                  "if session.hard_lock is meant, write hard_lock; else remove hard",
		"session = { idle_lock = \"5m\", colour = \"red\" }\n":                               "remove colour; all settings there are: tokend config sample",
		"[[metrics]]\ninterval = \"5s\"\n":                                                   "write [metrics]",
		"[session]\nidle_lock = \"5m\"\n[mail]\n[session]\nidle_lock = \"6m\"\n":             "move the settings below line 4 to those below line 1, and remove line 4; of what is there already, keep one: idle_lock (line 2)",
		"session = { idle_lock = \"5m\" }\n[session]\nhard_lock = \"1h\"\n":                  "move the settings below line 2 into the braces of line 1, and remove line 2",
		"session = { idle_lock = \"5m\", idle_lock = \"6m\", hard_lock = \"1h\" }\n":         "keep one of the two",
		"[tokens]\nrequire_attestation = true\nusers = [\"a\"\nattestation_roots = \"/x\"\n": "write ] where it ends",
	} {
		if got := problemsOf(t, text); len(got) != 1 || got[0].Fix != want {
			t.Errorf("%q: got %+v, want %s", text, got, want)
		}
	}
	got := problemsOf(t, "[sesion]\nidle_lock = \"5m\"\n[sessio]\nhard_lock = \"1h\"\n")
	if len(got) != 2 || got[0].Fix != "write [session]" || got[1].Fix != "move its settings to line 1, where [session] has to be" {
		t.Errorf("two for one: %+v", got)
	}
	got = problemsOf(t, "[session]\nidle_lok = \"5m\"\nidle_lck = \"6m\"\n")
	if len(got) != 2 || !strings.Contains(got[1].Fix, "is there in line 2 too") {
		t.Errorf("two for one: %+v", got)
	}
	if got = problemsOf(t, "[[mail]]\nserver = \"x\"\n[[mail]]\n"); len(got) != 1 || got[0].Message != "mail is one table: [mail], not [[mail]]" || got[0].Fix != "write [mail] once, and all its settings below" {
		t.Errorf("a list of tables: %+v", got)
	}
}

// TestConfigCheckLooksPastErrors: at what is below a misspelt table, around what is there
// twice, and in front of what is no TOML; what could follow from what is not read is not
// told.
func TestConfigCheckLooksPastErrors(t *testing.T) {
	for text, want := range map[string][]string{
		"[sesion]\nidle_lok = \"5m\"\nhard_lock = \"0s\"\nlock_on_token_removal = 1\n":                                                              {"1 there is no table [sesion]", "2 there is no setting \"session.idle_lok\"", "3 session.hard_lock must lie", "4 session.lock_on_token_removal takes"},
		"[sesion]\nidle_lock = \"0s\"\n[session]\nhard_lock = \"0s\"\n":                                                                             {"1 there is no table [sesion]", "2 session.idle_lock must lie", "4 session.hard_lock must lie"},
		"[sesion]\nidle_lock = \"5m\"\n[session]\nidle_lock = \"0s\"\n":                                                                             {"1 there is no table [sesion]", "4 session.idle_lock must lie"},
		"log_level = \"loud\"\nbus = \"none\"\nbus = \"none\"\n[session]\nidle_lock = \"0s\"\n[session]\nhard_lock = \"0s\"\n[backup]\ndaily = 5\n": {"1 log_level must be", "3 bus is there twice, in lines 2 and 3", "5 session.idle_lock must lie", "6 the table [session] is there twice", "7 session.hard_lock must lie", "9 backup.daily takes"},
		"bus = \"none\"\nbus = \"none\"\nbus = \"none\"\n":                                                                                          {"2 bus is there twice, in lines 1 and 2", "3 bus is there twice, in lines 1 and 3"},
		"[session]\n[session]\nidle_lock = 5m\nhard_lock = \"0s\"\n[backup]\ndaily = 5\n":                                                           {"2 the table [session] is there twice", "3 it cannot be read as TOML", "6 backup.daily takes"},
		"log_level = 4\n[mail]\nserver = \"x\"\ncolour = 1\npassword_file = \"/p\"\nuser = [\nfrom = \"y\"\n":                                       {"1 log_level takes", "3 mail.server must be", "4 there is no setting", "6 it cannot be read as TOML: the list that begins here has no end"},
		"[mail]\nserver = \"m.example.org:587\"\npassword_file = \"/p\"\n=\nfrom = \"y\"\nuser = \"z\"\n":                                           {"4 it cannot be read as TOML"},
		"log_level = \"loud\"\n=\n":                                                                         {"1 log_level must be", "2 it cannot be read as TOML"},
		"log_level = \"loud\"\n[tokens]\nusers = [[[[[[\"a\"]]]]]]\n":                                       {"1 log_level must be", "3 lists and tables lie too deep"},
		"[session]\nfrom = \"q@r.s\"\n[mail]\nserver = \"m.example.org:587\"\n":                             {"2 there is no setting \"session.from\""},
		"[session]\nserver = \"m.example.org:587\"\n[mail]\nfrom = \"q@r.s\"\n":                             {"2 there is no setting \"session.server\""},
		"[session]\nmail.from = \"q@r.s\"\n[mail]\nserver = \"m.example.org:587\"\n":                        {"2 there is no table [session.mail]"},
		"[session]\nuser = \"q\"\n[mail]\nserver = \"m.example.org:587\"\nfrom = \"a@b.c\"\ntls = \"no\"\n": {"2 there is no setting \"session.user\"", "6 mail.tls must be"},
	} {
		_, found := inspectConfig(text)
		ok := len(found) == len(want)
		for i := 0; ok && i < len(want); i++ {
			line, message, _ := strings.Cut(want[i], " ")
			ok = strings.HasPrefix(found[i].Error(), "line "+line+": "+message)
		}
		if !ok {
			t.Errorf("%q: got %q, want %q", text, found, want)
		}
	}
}
