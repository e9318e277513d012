package main

import "testing"

func TestLicence(t *testing.T) {
	for text, want := range map[string]string{
		"Apache License\n   Version 2.0, January 2004":                                     "Apache-2.0",
		"Mozilla Public License Version 2.0\n==":                                           "MPL-2.0",
		"Redistribution and use in source and binary\nforms, with or without":              "BSD-2-Clause",
		"Redistribution and use in source and binary forms\n * Neither the name of Google": "BSD-3-Clause",
		"Permission is hereby granted, free of charge, to any person\nobtaining a copy":    "MIT",
		"Permission to use, copy, modify, and distribute this software for any purpose":    "ISC",
		"GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007":                              "",
		"GNU AFFERO GENERAL PUBLIC LICENSE":                                                "",
		"":                                                                                 "",
	} {
		if got := licence(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// A module without a licence, or with one that is not known, stops the build.
func TestUnknownLicence(t *testing.T) {
	if _, _, err := readLicences(t.TempDir()); err == nil {
		t.Error("a module without a licence is taken")
	}
}

func TestGoVersion(t *testing.T) {
	for said, want := range map[string]string{"go1.26.8": "1.26.8", "go1.26.8 X:runtimesecret": "1.26.8", "go1.26.8-X:runtimesecret": "1.26.8"} {
		if got := goVersion(said); got != want {
			t.Errorf("%q: %q", said, got)
		}
	}
}
