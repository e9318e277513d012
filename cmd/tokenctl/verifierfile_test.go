package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenbridge/tokend/ipc"
)

// samples are the settings that the guides show.
func samples(tb testing.TB, name ipc.VerifierName) (out []string) {
	tb.Helper()
	text, err := os.ReadFile("../../docs/" + string(name) + ".md")
	if err != nil {
		tb.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	if len(out) == 0 {
		tb.Fatalf("the guide to %s shows no settings", name)
	}
	return out
}

func TestVerifierFiles(t *testing.T) {
	for _, name := range allVerifiers() {
		for _, text := range samples(t, name) {
			r, lacks, err := parseVerifier(name, text)
			if err != nil || len(lacks) == 0 || (r.Radius != nil) != (name == ipc.VerifierRadius) || (r.Duo != nil) != (name == ipc.VerifierDuo) {
				t.Errorf("%s: %v\n%s", name, err, text)
			}
			for _, s := range lacks {
				if s.path == "" {
					t.Errorf("%s: %s is in no file", name, s.what)
				}
			}
		}
	}
	r, _, err := parseVerifier(ipc.VerifierRadius, samples(t, ipc.VerifierRadius)[0])
	if err != nil || len(r.Radius.Servers) != 2 || r.Radius.TimeoutSeconds != 5 || r.Radius.Tries != 3 || r.Radius.NASIdentifier != "tokend" {
		t.Errorf("%+v, %v", r.Radius, err)
	}
	for text, want := range map[string]string{
		"":                                      "no [[server]] is named",
		"secret = \"x\"":                        `there is no key "secret"`,
		"[[server]]\naddress = \"a:1\"\nport=1": `there is no key "server.port"`,
		"[[server]]":                            "[[server]] 1 has no address",
		"tries = 3\n\ntimeout = 2":              `line 3: timeout takes a time in quotes, such as "5s"`,
		"tries = \"3\"":                         "line 1: tries takes a number without quotes",
		"push_word = true":                      "line 1: push_word takes a text in quotes",
		"[[server]]\naddress = 1\n[[server]]\naddress = \"a:1\"": "line 2: address takes a text in quotes",
		"[[server]]\naddress = \"a:1\"\n[[server]]\naddress = 1": "line 4: address takes a text in quotes",
		"[server]\naddress = \"a:1\"":                            "each server is a table of its own, [[server]]",
		"server = 3":                                             "each server is a table of its own, [[server]]",
		"server = [3]":                                           "each server is a table of its own, [[server]]",
		"x = ":                                                   "line 1: ",
		"timeout = \"0.5s\"":                                     "no time of whole seconds",
		"wait = \"1000000h\"":                                    "no time of whole seconds",
	} {
		if _, _, err := parseVerifier(ipc.VerifierRadius, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzVerifierFile(f *testing.F) {
	for _, name := range allVerifiers() {
		for _, text := range samples(f, name) {
			f.Add(string(name), text)
		}
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		r, lacks, err := parseVerifier(ipc.VerifierName(name), text)
		if err != nil {
			return
		}
		if (r.Radius == nil) == (r.Duo == nil) || len(lacks) == 0 {
			t.Fatalf("%+v, %+v", r, lacks)
		}
		for _, s := range lacks {
			if s.into != nil && len(*s.into) > 0 {
				t.Fatal("a secret came with the settings")
			}
		}
	})
}
