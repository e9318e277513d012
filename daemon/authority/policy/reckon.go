package policy

import "slices"

// verifying are the verifiers of a factor that are set up, as the policy lists them.
func (p *Policy) verifying(f Factor, ready func(Verifier) bool) []Verifier {
	return slices.DeleteFunc(p.Verifiers(f), func(v Verifier) bool { return v != Local && ready != nil && !ready(v) })
}

// VerifiersOf are who verifies a factor of somebody who has so much of it here: the
// authority alone, or the remote verifiers of which the next is asked where the one before
// does not know him; none where nobody who is named is ready.
func (p *Policy) VerifiersOf(f Factor, has Holding, ready func(Verifier) bool) []Verifier {
	_, by := Subject{Has: map[Factor]Holding{f: has}, Ready: ready}.reckon(p, f)
	return by
}

// reckon is what the subject has of a factor that can be verified, and who would
// verify it. Who has a fob that works here is verified here and nowhere else: so no
// passcode is tried twice, and none that is good here is told to anybody.
func (s Subject) reckon(p *Policy, f Factor) (Holding, []Verifier) {
	has, by := s.Has[f], p.verifying(f, s.Ready)
	if s.Ready == nil || !slices.ContainsFunc(p.verifiers[f], func(v Verifier) bool { return v != Local }) {
		return has, by
	}
	local := slices.Contains(by, Local)
	if !local {
		has = Holding{}
	}
	if local && has.Working > 0 {
		return has, []Verifier{Local}
	}
	remote := slices.DeleteFunc(slices.Clone(by), func(v Verifier) bool { return v == Local })
	if len(remote) == 0 {
		return has, by
	}
	if !slices.Contains(s.Unknown, f) {
		has.Working = 1
	}
	return has, remote
}
