package transfer

import (
	"context"
	"encoding/json"
)

// twofAuth is the JSON export of the server 2FAuth.
type twofAuth struct{}

// Name implements Format.
func (twofAuth) Name() string { return "2FAuth" }

// Detect implements Format.
func (twofAuth) Detect(f *File) Confidence {
	if f.has("app", "schema", "data") {
		return Sure
	}
	return No
}

// Read implements Format.
func (x twofAuth) Read(_ context.Context, f *File, _ Options) (Result, error) {
	var file struct {
		Schema number
		Data   []json.RawMessage
	}
	if json.Unmarshal([]byte(f.text()), &file) != nil {
		return Result{}, damaged(x.Name(), "it has not the form of an export")
	}
	if file.Schema.value > 1 {
		return Result{}, newer(x.Name(), file.Schema.value)
	}
	c := collect(x.Name())
	for i, raw := range file.Data {
		var e struct {
			OTPType                             loose `json:"otp_type"`
			Account, Service, Secret, Algorithm loose
			Digits, Period, Counter             number
		}
		if json.Unmarshal(raw, &e) != nil {
			c.skip(nth(i), "", "", badEntry)
			continue
		}
		kind := string(e.OTPType)
		if kind == "steamtotp" {
			kind = typeSteam
		}
		c.add(entry{
			where: nth(i), issuer: string(e.Service), name: string(e.Account), kind: kind, algorithm: string(e.Algorithm),
			digits: e.Digits, period: e.Period, counter: e.Counter, base32: string(e.Secret),
		})
	}
	return c.Result, nil
}
