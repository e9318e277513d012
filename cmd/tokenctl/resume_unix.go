//go:build !windows

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// onResume runs f whenever the process goes on after it was stopped (Ctrl-Z, then
// fg), until it is told to end.
func onResume(f func()) (end func()) {
	resumed, over, ended := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(resumed, syscall.SIGCONT)
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			case <-resumed:
				f()
			}
		}
	}()
	return func() {
		signal.Stop(resumed)
		close(over)
		<-ended
	}
}
