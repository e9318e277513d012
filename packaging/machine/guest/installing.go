//go:build linux

package main

func (s *scenario) installing() []part { return nil }
func (s *scenario) keeping() []part    { return nil }
func (s *scenario) disturbing() []part { return nil }
func (s *scenario) lasting() []part    { return nil }
