// Package foreignfido holds the tests of the virtual FIDO2 key with programs of
// others on the real libfido2: whatever they accept, and how they see its
// errors, is what the key must be like. There is nothing in it to import.
package foreignfido
