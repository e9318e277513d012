package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// The bounds of a file of roots: they travel to the helper with each enrolment.
const (
	maxRoots     = 64
	maxRootsFile = 64 << 10 // bytes
)

// readRoots reads the certificates in a PEM file, as DER; an empty path is none.
func readRoots(path string) ([][]byte, error) {
	if path == "" {
		return nil, nil
	}
	text, err := readAtMost(path, maxRootsFile)
	if err != nil {
		return nil, remedied{error: fmt.Errorf("cannot read tokens.attestation_roots: %w", err), setting: "tokens.attestation_roots", fix: fixFile(path, err)}
	}
	roots, err := parseRoots(text)
	if err != nil {
		return nil, remedied{error: fmt.Errorf("tokens.attestation_roots: %s: %w", path, err), setting: "tokens.attestation_roots", fix: "put whole certificates (PEM), and nothing else, into " + path}
	}
	return roots, nil
}

// parseRoots reads certificates one after the other; what stands around them in
// the file is left out.
func parseRoots(text []byte) ([][]byte, error) {
	var roots [][]byte
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("a %q is in it, and only certificates may be", block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", len(roots)+1, err)
		}
		roots = append(roots, cert.Raw)
	}
	switch begun := bytes.Count(text, []byte("-----BEGIN")); {
	case len(roots) == 0:
		return nil, fmt.Errorf("no certificate (PEM) is in it")
	case begun != len(roots):
		return nil, fmt.Errorf("%d of %d certificates in it are not whole", begun-len(roots), begun)
	case len(roots) > maxRoots:
		return nil, fmt.Errorf("more than %d certificates are in it", maxRoots)
	}
	return roots, nil
}
