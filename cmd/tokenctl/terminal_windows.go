package main

import (
	"os"
	"time"

	"golang.org/x/sys/windows"
)

// prepareOutput makes the console understand control sequences.
func prepareOutput() (restore func(), err error) {
	h := windows.Handle(os.Stdout.Fd())
	var before uint32
	if err := windows.GetConsoleMode(h, &before); err != nil {
		return nil, err
	}
	if err := windows.SetConsoleMode(h, before|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING); err != nil {
		return nil, err
	}
	return func() { _ = windows.SetConsoleMode(h, before) }, nil
}

// onResize runs f now and then, until it is told to end: there is no signal for
// another size, and to ask is cheap.
func onResize(f func()) (end func()) {
	t := time.NewTicker(250 * time.Millisecond)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			case <-t.C:
				f()
			}
		}
	}()
	return func() {
		t.Stop()
		close(over)
		<-ended
	}
}

// onHangup does nothing: the program ends with its console.
func onHangup(func()) (end func()) { return func() {} }

// onResume does nothing: a process is not stopped from its terminal here.
func onResume(func()) (end func()) { return func() {} }

// stopSelf does nothing, for the same reason.
func stopSelf() {}
