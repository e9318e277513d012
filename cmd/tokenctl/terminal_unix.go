//go:build !windows

package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// prepareOutput makes the terminal understand control sequences, as all do here.
func prepareOutput() (restore func(), err error) { return func() {}, nil }

// onResize runs f whenever the terminal has another size, until it is told to end.
func onResize(f func()) (end func()) { return onSignal(syscall.SIGWINCH, f) }

// onHangup runs f when the terminal goes away.
func onHangup(f func()) (end func()) { return onSignal(syscall.SIGHUP, f) }

// onResume runs f whenever the process goes on after it was stopped (Ctrl-Z, then
// fg), until it is told to end.
func onResume(f func()) (end func()) { return onSignal(syscall.SIGCONT, f) }

func onSignal(s os.Signal, f func()) (end func()) {
	heard, over, ended := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(heard, s)
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			case <-heard:
				f()
			}
		}
	}()
	return func() {
		signal.Stop(heard)
		close(over)
		<-ended
	}
}

// stopSelf stops this program and those that were started with it, as Ctrl-Z does.
// It returns when they go on.
func stopSelf() {
	goesOn := make(chan struct{}, 1)
	end := onResume(func() { goesOn <- struct{}{} })
	defer end()
	if syscall.Kill(0, syscall.SIGTSTP) != nil {
		return
	}
	// The signal takes a moment to stop all threads. Where there is no shell to go
	// back to, the system ignores it.
	select {
	case <-goesOn:
	case <-time.After(time.Second / 2):
	}
}
