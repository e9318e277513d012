package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestArgsAreAsTheUsageSays: each command takes the words that its usage line names,
// and refuses fewer and more.
func TestArgsAreAsTheUsageSays(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			walk(child)
		}
		words := strings.Fields(cmd.Use)[1:]
		if !cmd.Runnable() || cmd.Args == nil || strings.Contains(cmd.Use, "...") || strings.Contains(cmd.Use, "…") || strings.Contains(cmd.Use, "|") {
			return
		}
		words = slices.DeleteFunc(words, func(w string) bool { return w == "[flags]" })
		need := len(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return strings.HasPrefix(w, "[") }))
		for n := range len(words) + 2 {
			if n > len(words) && cmd.CommandPath() == "tokenctl backup drill" {
				continue // it looks first whether they are files
			}
			err := cmd.Args(cmd, slices.Repeat([]string{"x"}, n))
			if taken := err == nil; taken != (need <= n && n <= len(words)) {
				t.Errorf("%q with %d words: %v", cmd.CommandPath(), n, err)
			}
		}
	}
	walk(newCLI().root(nil))
}
