package vfido

// manages says whether the key has credentialManagement (section 6.8), and
// previews whether it has the command of FIDO_2_1_PRE, too or instead.
func (k *Key) manages() bool {
	return k.opts.Version == CTAP21 && !k.opts.NoManagement && k.opts.MaxResident > 0
}

func (k *Key) previews() bool {
	if k.opts.Version == CTAP21 {
		return k.manages() && !k.opts.NoManagementPreview
	}
	return k.opts.ManagementPreview && k.opts.MaxResident > 0
}

// info is authenticatorGetInfo (section 6.4).
func (k *Key) info() map[int]any {
	o := k.opts
	m := map[int]any{1: k.versions(), 3: o.AAGUID[:], 4: k.infoOptions(), 5: o.MaxMessage, 6: o.Protocols}
	var ext []string
	if k.hasCredProtect() {
		ext = append(ext, "credProtect")
	}
	if !o.NoHMACSecret {
		ext = append(ext, "hmac-secret")
	}
	if ext != nil {
		m[2] = ext
	}
	if o.Version != CTAP21 {
		return m
	}
	algorithms := make([]any, len(o.Algorithms))
	for i, a := range o.Algorithms {
		algorithms[i] = map[string]any{"alg": a, "type": "public-key"}
	}
	m[7], m[8], m[9], m[10] = o.MaxList, max(128, o.CredentialIDLength), []string{"usb"}, algorithms
	m[12], m[13] = k.pin.mustTurn, o.MinPINLength
	m[14] = int(o.Firmware[0])<<16 | int(o.Firmware[1])<<8 | int(o.Firmware[2])
	if o.UV {
		m[17], m[18] = 1, 2 // one attempt at a time, a fingerprint
	}
	if o.MaxResident > 0 {
		m[20] = o.MaxResident - k.residents()
	}
	return m
}

func (k *Key) versions() []string {
	var v []string
	if !k.opts.NoU2F && !k.opts.AlwaysUV { // section 7.2.4
		v = append(v, "U2F_V2")
	}
	v = append(v, "FIDO_2_0")
	if k.previews() {
		v = append(v, "FIDO_2_1_PRE")
	}
	if k.opts.Version == CTAP21 {
		v = append(v, "FIDO_2_1")
	}
	return v
}

func (k *Key) infoOptions() map[string]bool {
	o := k.opts
	m := map[string]bool{"rk": o.MaxResident > 0, "up": true, "plat": false, "clientPin": k.pin.hash != nil}
	if o.UV {
		m["uv"] = true
	}
	if k.previews() {
		m["credentialMgmtPreview"] = true
	}
	if o.Version != CTAP21 {
		return m
	}
	m["pinUvAuthToken"] = true
	m["makeCredUvNotRqd"] = !k.makeWantsUV(false)
	m["alwaysUv"] = o.AlwaysUV
	if k.manages() {
		m["credMgmt"] = true
	}
	return m
}
