package main

import (
	"os"
	"testing"
)

// TestMain keeps the daemons that the tests start off the bus of the session in
// which the tests run.
func TestMain(m *testing.M) {
	if err := os.Unsetenv("DBUS_SESSION_BUS_ADDRESS"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
