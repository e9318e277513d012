package main

import "golang.org/x/sys/windows"

// withoutEcho prepares a console to hide what is typed, and to be as it was again.
func withoutEcho(fd uintptr) (hide, back func(), err error) {
	var was uint32
	if err := windows.GetConsoleMode(windows.Handle(fd), &was); err != nil {
		return nil, nil, err
	}
	set := func(mode uint32) func() {
		return func() { _ = windows.SetConsoleMode(windows.Handle(fd), mode) }
	}
	return set(was &^ windows.ENABLE_ECHO_INPUT), set(was), nil
}

// flushTyped forgets what was typed and not read.
func flushTyped(fd uintptr) { _ = windows.FlushConsoleInputBuffer(windows.Handle(fd)) }
