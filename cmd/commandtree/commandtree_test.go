package commandtree

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/spf13/cobra"
)

func TestDescribe(t *testing.T) {
	root := &cobra.Command{Use: "prog", Short: "Do things"}
	root.PersistentFlags().String("socket", "", "the daemon's socket `PATH`")
	add := &cobra.Command{
		Use: "add NAME", Aliases: []string{"new"}, Short: "Add a thing", Long: "Add a thing.\n\nAnd more.", Example: "  prog add x",
		Run: func(*cobra.Command, []string) {},
	}
	add.Flags().IntP("keep", "k", 30, "how many to keep")
	add.Flags().Bool("force", false, "do not ask")
	add.Flags().Bool("secret", false, "not told")
	if err := add.Flags().MarkHidden("secret"); err != nil {
		t.Fatal(err)
	}
	root.AddCommand(add, &cobra.Command{Use: "inside", Hidden: true, Run: func(*cobra.Command, []string) {}}, Subcommand())

	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{Name})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	var got Command
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	sub := got.Commands
	got.Commands = nil
	want := Command{Path: "prog", Line: "prog [flags]", Short: "Do things", Flags: []Flag{{Name: "socket", Value: "PATH", Usage: "the daemon's socket PATH"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	var names []string
	for _, c := range sub {
		names = append(names, c.Path)
	}
	// Cobra adds the command "completion" where nobody forbids it.
	if len(names) == 0 || names[0] != "prog add" {
		t.Fatalf("commands %v", names)
	}
	for _, n := range names {
		if n == "prog inside" || n == "prog "+Name {
			t.Errorf("%s is told, but is hidden", n)
		}
	}
	wantAdd := Command{
		Path: "prog add", Line: "prog add NAME [flags]", Short: "Add a thing", Long: "Add a thing.\n\nAnd more.", Example: "  prog add x", Aliases: []string{"new"},
		Flags: []Flag{{Name: "force", Usage: "do not ask"}, {Name: "keep", Shorthand: "k", Value: "int", Usage: "how many to keep", Default: "30"}},
	}
	if !reflect.DeepEqual(sub[0], wantAdd) {
		t.Errorf("got %+v\nwant %+v", sub[0], wantAdd)
	}
}
