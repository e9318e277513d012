package main

import (
	"context"
	"runtime"

	"github.com/tokenbridge/tokend/ipc"
	"github.com/tokenbridge/tokend/udev"
)

// installRule puts the udev rule for FIDO2 keys in place, and nothing else: what the
// daemon of a person who sits at the machine lacks, where no package has brought it.
func (c *cli) installRule(ctx context.Context, f *serviceFlags) error {
	const doing = "install the udev rule"
	switch {
	case f.user:
		return usage("--udev is for the machine, not for --user")
	case runtime.GOOS != "linux":
		return fail(doing, &ipc.Error{Kind: ipc.Unsupported, Message: "there is no udev on this system"})
	}
	p := servicePlan{Files: []serviceFile{{Path: "/etc/udev/rules.d/" + udev.RulesName, Text: string(udev.Rules)}}}
	if f.root == "" {
		p.Commands = [][]string{{"udevadm", "control", "--reload"}, {"udevadm", "trigger", "--subsystem-match=hidraw"}}
	}
	if f.print {
		return c.showServicePlan(p)
	}
	if f.root == "" && !isAdmin() {
		return fail(doing, &hinted{
			err:   &ipc.Error{Kind: ipc.NotAuthorized, Message: "only root can do that for the whole machine"},
			hints: adviceServiceRule(),
		})
	}
	for _, file := range p.Files {
		if err := file.write(f.root); err != nil {
			return fileFailure(doing, err)
		}
		c.say("written: %s", file.Path)
	}
	for _, words := range p.Commands {
		if err := manager(ctx, words[0], words[1:]...); err != nil {
			c.say("%s: pull the key out and put it back", err)
			break
		}
	}
	return nil
}
