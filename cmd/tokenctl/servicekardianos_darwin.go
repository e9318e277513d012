package main

import (
	"os"
	"path/filepath"
	"strings"

	kardianos "github.com/kardianos/service"

	"github.com/tokenbridge/tokend/ipc/local"
	"github.com/tokenbridge/tokend/packaging"
)

// packagedLaunchd is the program in the files for launchd as packages ship them.
const packagedLaunchd = "/usr/local/bin/tokend"

// configure is the service as launchd is to have it: by our own file.
func (p *platformService) configure(found programs) (*kardianos.Config, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	name, folder, user := "io.github.tokenbridge.tokend", "/Library/LaunchDaemons", p.status.Scope == scopeUser
	p.status.Manager, p.status.Socket, p.status.State = "launchd", local.SystemSocket(), "/var/lib/tokend"
	if user {
		name, folder = name+".user", filepath.Join(home, "Library", "LaunchAgents")
		p.status.State = filepath.Join(home, ".local", "state", "tokend")
		if p.status.Socket, err = local.UserSocket(); err != nil {
			return nil, err
		}
	}
	b, err := packaging.Files.ReadFile("launchd/" + name + ".plist")
	if err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(string(b), "<string>"+packagedLaunchd+"</string>", "<string>"+xmlText(found.tokend)+"</string>")
	p.target = serviceFile{Path: filepath.Join(folder, name+".plist"), Text: text}
	return &kardianos.Config{Name: name, Executable: found.tokend, Option: kardianos.KeyValue{"LaunchdConfig": text, "UserService": user}}, nil
}

// beforeRemoval is nothing: launchd keeps all of a service in its file.
func beforeRemoval(kardianos.Service) {}

// unloading are the commands that do what removing does.
func (p *platformService) unloading() [][]string {
	return [][]string{{"launchctl", "unload", p.target.Path}}
}
