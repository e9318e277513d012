// Package inprocess holds tests of the virtual FIDO2 key with libfido2 in their
// own process, which umockdev was preloaded to: what a test of a driver does.
// There is nothing in it to import.
package inprocess
