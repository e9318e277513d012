package desk

import (
	"strings"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority"
	"github.com/tokenbridge/tokend/daemon/otp"
	"github.com/tokenbridge/tokend/ipc"
)

// wireTime is t as it travels: UTC, whole seconds.
func wireTime(t time.Time) ipc.Time { return ipc.WireTime(t) }

func compare(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

func algorithm(s string) otp.Algorithm { return otp.Algorithm(s) }

// wireFob leaves out users beyond the caller's reach.
func (c *caller) wireFob(f authority.Fob) ipc.Fob {
	out := ipc.Fob{
		ID: f.ID, Serial: f.Serial, Type: ipc.FobType(f.Type), State: ipc.FobState(f.State), Algorithm: string(f.Algorithm),
		Digits: f.Digits, Period: f.Period, PublicID: f.PublicID, Maker: f.Maker, Model: f.Model,
		Start: wireTime(f.Start), Expiry: wireTime(f.Expiry), Counter: f.Counter, Drift: f.Drift, Users: make([]ipc.FobUser, 0, len(f.Users)),
		Added: wireTime(f.Added), Used: wireTime(f.Used), Throttled: wireTime(f.Throttled),
	}
	for _, u := range f.Users {
		if c.reaches(u.Authority) || u.ID == c.user.ID {
			out.Users = append(out.Users, ipc.FobUser{ID: u.ID, Name: u.Name})
		}
	}
	return out
}
