package pinentry

import (
	"errors"
	"fmt"
	"os/exec"
)

// ErrNone says that no pinentry is installed that could show itself here.
var ErrNone = errors.New("no pinentry is installed that can show itself here")

// Environment is where a pinentry would show itself.
type Environment struct {
	// Graphical says that there is a desktop to draw on.
	Graphical bool
	// TTY is a terminal, empty for none.
	TTY string
}

// candidates are the programs that are looked for, the best first. Those for the
// desktop that is there, then those for a terminal, then what the system calls
// pinentry.
func candidates(e Environment) []string {
	var names []string
	if e.Graphical {
		names = append(names, "pinentry-gnome3", "pinentry-qt", "pinentry-qt6", "pinentry-qt5", "pinentry-gtk-2", "pinentry-gtk",
			"pinentry-fltk", "pinentry-efl", "pinentry-mac", "pinentry-x11")
	}
	if e.TTY != "" {
		names = append(names, "pinentry-curses", "pinentry-tty")
	}
	if len(names) > 0 {
		names = append(names, "pinentry")
	}
	return names
}

// places are where they lie beside PATH: that of a service is short.
func places() []string {
	return []string{"/usr/bin/", "/usr/local/bin/", "/opt/homebrew/bin/", "/opt/local/bin/", "/usr/local/MacGPG2/libexec/pinentry-mac.app/Contents/MacOS/"}
}

// Find is the path of a pinentry: the one called name, or, where that is empty,
// the best that is installed.
func Find(name string, e Environment) (string, error) {
	if name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("cannot find the pinentry %q: %w", name, errors.Unwrap(err))
		}
		return path, nil
	}
	for _, candidate := range candidates(e) {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
		for _, place := range places() {
			if path, err := exec.LookPath(place + candidate); err == nil {
				return path, nil
			}
		}
	}
	return "", ErrNone
}
