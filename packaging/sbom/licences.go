package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// readLicences reads the files of a module that say on what terms it is had, and
// what those terms are.
func readLicences(dir string) ([]licenceText, string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, "", err
	}
	var texts []licenceText
	var names []string
	for _, e := range entries {
		upper := strings.ToUpper(e.Name())
		if !e.Type().IsRegular() || !slices.ContainsFunc([]string{"LICENSE", "LICENCE", "COPYING", "NOTICE", "PATENTS"}, func(p string) bool { return strings.HasPrefix(upper, p) }) {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, "", err
		}
		texts = append(texts, licenceText{e.Name(), strings.ReplaceAll(string(b), "\r\n", "\n")})
		if strings.HasPrefix(upper, "NOTICE") || strings.HasPrefix(upper, "PATENTS") {
			continue
		}
		name := licence(string(b))
		if name == "" {
			return nil, "", fmt.Errorf("%s is no licence that is known here", e.Name())
		}
		names = append(names, strings.Split(name, " AND ")...)
	}
	if len(names) == 0 {
		return nil, "", errors.New("it has no licence")
	}
	slices.Sort(names)
	return texts, strings.Join(slices.Compact(names), " AND "), nil
}

// licence is the SPDX expression of a licence's file, empty when it is none of those
// that Apache-2.0 can be shipped with. A file can hold several.
func licence(text string) string {
	flat := strings.Join(strings.Fields(text), " ")
	has := func(words string) bool { return strings.Contains(flat, words) }
	var names []string
	add := func(is bool, name string) {
		if is {
			names = append(names, name)
		}
	}
	bsd := has("Redistribution and use in source and binary forms")
	third := has("Neither the name") || has("The name of the author may not be used")
	add(has("Apache License Version 2.0"), "Apache-2.0")
	add(bsd && !third, "BSD-2-Clause")
	add(bsd && third, "BSD-3-Clause")
	add(has("Permission to use, copy, modify, and/or distribute this software") || has("Permission to use, copy, modify, and distribute this software"), "ISC")
	add(has("Permission is hereby granted, free of charge, to any person obtaining a copy"), "MIT")
	add(has("Mozilla Public License Version 2.0") || has("Mozilla Public License, version 2.0"), "MPL-2.0")
	add(has("This software is provided 'as-is', without any express or implied warranty") && has("Altered source versions must be plainly marked"), "Zlib")
	return strings.Join(names, " AND ")
}

// notices is the file of all licences. Modules with the same words share them.
func notices(modules []linkedModule) []byte {
	var b strings.Builder
	b.WriteString("The programs contain the following modules, unchanged. The source of each is\n" +
		"fetched by: go mod download -json MODULE@VERSION\n\n")
	for _, m := range modules {
		fmt.Fprintf(&b, "  %s %s: %s\n", m.path, m.version, m.licence)
	}
	holders := map[string][]string{}
	var order []string
	for _, m := range modules {
		for _, t := range m.texts {
			text := strings.TrimRight(t.text, "\n ")
			if holders[text] == nil {
				order = append(order, text)
			}
			holders[text] = append(holders[text], m.path+" ("+t.file+")")
		}
	}
	for _, text := range order {
		fmt.Fprintf(&b, "\n%s\n%s\n%s\n\n%s\n", strings.Repeat("=", 79), strings.Join(holders[text], "\n"), strings.Repeat("-", 79), text)
	}
	return []byte(b.String())
}
