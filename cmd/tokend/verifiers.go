package main

import (
	"cmp"
	"crypto/x509"
	"errors"
	"time"

	"github.com/tokenbridge/tokend/daemon/authority/desk"
	"github.com/tokenbridge/tokend/daemon/authority/remote"
	"github.com/tokenbridge/tokend/daemon/authority/remote/duo"
	"github.com/tokenbridge/tokend/daemon/authority/remote/radius"
	"github.com/tokenbridge/tokend/ipc"
)

// nasIdentifier is by what name RADIUS servers know an authority that does not say.
const nasIdentifier = "tokend"

// verifierMakers make what asks RADIUS servers and Duo.
func (s *service) verifierMakers() desk.Makers {
	return desk.Makers{
		Radius: func(r ipc.RadiusSettings) (remote.Verifier, error) {
			v, err := newRadius(r)
			return s.metered("radius", v, err)
		},
		Duo: func(d ipc.DuoSettings) (remote.Verifier, error) {
			v, err := newDuo(d)
			return s.metered("duo", v, err)
		},
	}
}

func newRadius(s ipc.RadiusSettings) (remote.Verifier, error) {
	c := radius.Config{NASIdentifier: cmp.Or(s.NASIdentifier, nasIdentifier), Timeout: time.Duration(s.TimeoutSeconds) * time.Second, Tries: s.Tries,
		Wait: time.Duration(s.WaitSeconds) * time.Second, Words: map[string]string{}}
	for factor, word := range map[ipc.Factor]string{ipc.FactorPush: s.PushWord, ipc.FactorPhoneCall: s.PhoneWord, ipc.FactorSMS: s.SMSWord} {
		if word != "" {
			c.Words[string(factor)] = word
		}
	}
	for _, server := range s.Servers {
		c.Servers = append(c.Servers, radius.Server{Address: server.Address, Secret: server.Secret})
	}
	v, err := radius.New(c)
	if err != nil {
		return nil, err // and no *Client that is nil in an interface that is not
	}
	return v, nil
}

func newDuo(s ipc.DuoSettings) (remote.Verifier, error) {
	c := duo.Config{IntegrationKey: s.IntegrationKey, SecretKey: string(s.SecretKey), Host: s.Host, Timeout: time.Duration(s.TimeoutSeconds) * time.Second}
	if s.CACertificates != "" {
		c.Roots = x509.NewCertPool()
		if !c.Roots.AppendCertsFromPEM([]byte(s.CACertificates)) {
			return nil, errors.New("there is no certificate among those from which Duo's is to come")
		}
	}
	v, err := duo.New(c)
	if err != nil {
		return nil, err
	}
	return v, nil
}
