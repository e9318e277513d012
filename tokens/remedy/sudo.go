package remedy

import (
	"os"
	"os/exec"
	"regexp"
)

// Typed is advice as it can be typed here: where root reads it and there is no sudo, as
// in a container, its commands need none.
func Typed(advice string) string {
	if os.Geteuid() != 0 {
		return advice
	}
	if _, err := exec.LookPath("sudo"); err == nil {
		return advice
	}
	return withoutSudo(advice)
}

// withoutSudo takes sudo away from the commands of a text, but for those that another
// user than root is to run.
func withoutSudo(text string) string {
	return regexp.MustCompile("(^|&& |\\|\\| |\\| |; |\\(|`)sudo ([^-])").ReplaceAllString(text, "$1$2")
}
