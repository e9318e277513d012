//go:build darwin || windows

package main

import (
	"context"
	"errors"
	"path/filepath"

	kardianos "github.com/kardianos/service"

	"github.com/tokenbridge/tokend/ipc"
)

// platformService is a service of launchd or of Windows.
type platformService struct {
	service kardianos.Service
	target  serviceFile // what launchd is given; empty where there is no file
	status  serviceState
	missing error // why the programs cannot be started
}

// nothing stands for the program, which another process is.
type nothing struct{}

func (nothing) Start(kardianos.Service) error { return nil }
func (nothing) Stop(kardianos.Service) error  { return nil }

// serviceManager is launchd, or Windows' own.
func (c *cli) serviceManager(f *serviceFlags) (serviceManager, error) {
	if f.root != "" {
		return nil, usage("--root is for systemd")
	}
	found, missing := findPrograms()
	p := &platformService{missing: missing, status: serviceState{Scope: f.scoped()}}
	config, err := p.configure(found)
	if err != nil {
		return nil, err
	}
	if p.service, err = kardianos.New(nothing{}, config); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *platformService) plan(network bool) (servicePlan, error) {
	if network {
		return servicePlan{}, usage("--network is for systemd: here the daemon has a network")
	}
	if p.missing != nil {
		return servicePlan{}, &hinted{err: &ipc.Error{Kind: fileKind(p.missing), Message: plain(p.missing)}, hints: adviceServicePrograms()}
	}
	if p.target.Path == "" {
		return servicePlan{}, nil
	}
	return servicePlan{Files: []serviceFile{p.target}}, nil
}

func (p *platformService) install(context.Context, servicePlan) error {
	if _, err := p.service.Status(); !errors.Is(err, kardianos.ErrNotInstalled) {
		_ = p.service.Stop() // one that runs is installed anew
		if err := p.remove(); err != nil {
			return err
		}
	}
	if err := p.service.Install(); err != nil {
		return err
	}
	return p.service.Start()
}

func (p *platformService) removal(ctx context.Context) (serviceRemoval, error) {
	r := serviceRemoval{First: [][]string{}, Files: []string{}, Kept: []string{}, Then: [][]string{}}
	st, err := p.state(ctx)
	if err != nil || !st.Installed {
		return r, err
	}
	r.First = p.unloading()
	if p.target.Path != "" {
		r.Files = append(r.Files, p.target.Path)
	}
	return r, nil
}

func (p *platformService) uninstall(_ context.Context, r serviceRemoval) error {
	if r.nothing() {
		return nil
	}
	_ = p.service.Stop() // it need not run
	if err := p.remove(); !errors.Is(err, kardianos.ErrNotInstalled) {
		return err
	}
	return nil
}

// remove takes the service away, whoever has installed it.
func (p *platformService) remove() error {
	beforeRemoval(p.service)
	return p.service.Uninstall()
}

func (p *platformService) start(context.Context) error { return p.service.Start() }
func (p *platformService) stop(context.Context) error  { return p.service.Stop() }

func (p *platformService) state(context.Context) (serviceState, error) {
	st := p.status
	status, err := p.service.Status()
	if p.target.Path != "" {
		st.Installed = isThere(filepath.Clean(p.target.Path))
	} else {
		st.Installed = !errors.Is(err, kardianos.ErrNotInstalled)
	}
	if !st.Installed {
		return st, nil
	}
	st.Enabled, st.Active = true, "inactive"
	if err == nil && status == kardianos.StatusRunning {
		st.Active = "active"
	}
	return st, nil
}
