package httpapi_test

import (
	"context"

	"github.com/tokenbridge/tokend/ipc"
)

// The authority's methods of backend; see there.

var (
	alice   = ipc.User{ID: "u1", AuthorityID: "0123", Authority: "Example AG", Name: "alice", Logins: []string{"alice"}, Roles: []ipc.Role{ipc.RoleUser}, Created: noon}
	helpers = ipc.Group{ID: "g1", Name: "helpers", Roles: []ipc.Role{ipc.RoleHelpdesk}, Added: noon, Known: true}
	west    = ipc.ChildAuthority{ID: "c1", Name: "west", ParentID: "0123", Parent: "Example AG", Depth: 1, Created: noon}
	oneFob  = ipc.Fob{ID: "f1", Serial: "7700001", Type: ipc.FobHOTP, State: ipc.FobActive, Algorithm: "SHA1", Digits: 6,
		Users: []ipc.FobUser{{ID: "u1", Name: "alice"}}, Added: noon}
)

func (b *backend) Authority(_ context.Context, p ipc.Principal) (ipc.AuthorityInfo, error) {
	b.note(p, "Authority", nil)
	return ipc.AuthorityInfo{Version: 1, ID: "0123", Name: "Example AG", Created: noon, KeySource: "key-file", Roles: []ipc.Role{ipc.RoleOwner}}, nil
}

func (b *backend) CreateAuthority(_ context.Context, p ipc.Principal, r ipc.CreateAuthorityRequest) (ipc.AuthorityInfo, error) {
	b.note(p, "CreateAuthority", r)
	return ipc.AuthorityInfo{Version: 1, ID: "0123", Name: "Example AG", Created: noon, KeySource: "key-file", Roles: []ipc.Role{ipc.RoleOwner}}, nil
}

func (b *backend) EditAuthority(_ context.Context, p ipc.Principal, r ipc.EditAuthorityRequest) (ipc.AuthorityInfo, error) {
	b.note(p, "EditAuthority", r)
	return ipc.AuthorityInfo{Version: 1, ID: "0123", Name: "Example AG", Created: noon, KeySource: "key-file", Roles: []ipc.Role{ipc.RoleOwner}}, nil
}

var oneHolder = ipc.AuthorityKeyHolder{ID: "0123456789abcdef", Kind: "piv", Label: "YubiKey 5 (1234)", Hardware: true, By: "0", Added: noon}

func (b *backend) UnlockAuthority(_ context.Context, p ipc.Principal, r ipc.UnlockAuthorityRequest) (ipc.AuthorityInfo, error) {
	b.note(p, "UnlockAuthority", r)
	return ipc.AuthorityInfo{Version: 1, ID: "0123", Name: "Example AG", Created: noon, KeySource: "keyslot", Roles: []ipc.Role{ipc.RoleOwner}}, nil
}

func (b *backend) LockAuthority(_ context.Context, p ipc.Principal) (ipc.AuthorityLock, error) {
	b.note(p, "LockAuthority", nil)
	return ipc.AuthorityLock{Version: 1, Locked: true}, nil
}

func (b *backend) AuthorityKeys(_ context.Context, p ipc.Principal) (ipc.AuthorityKeyList, error) {
	b.note(p, "AuthorityKeys", nil)
	return ipc.AuthorityKeyList{Version: 1, Keys: []ipc.AuthorityKeyHolder{oneHolder}}, nil
}

func (b *backend) AddAuthorityKey(_ context.Context, p ipc.Principal, r ipc.AddAuthorityKeyRequest) (ipc.AuthorityKeyHolder, error) {
	b.note(p, "AddAuthorityKey", r)
	return oneHolder, nil
}

func (b *backend) RemoveAuthorityKey(_ context.Context, p ipc.Principal, id string) (ipc.AuthorityKeyHolder, error) {
	b.note(p, "RemoveAuthorityKey "+id, nil)
	return oneHolder, nil
}

func (b *backend) AuthorityAudit(_ context.Context, p ipc.Principal, r ipc.AuditQuery) (ipc.AuditPage, error) {
	b.note(p, "AuthorityAudit", r)
	return ipc.AuditPage{Version: 1, Intact: true}, nil
}

func (b *backend) CheckpointAuthorityAudit(_ context.Context, p ipc.Principal) (ipc.AuditCheckpoint, error) {
	b.note(p, "CheckpointAuthorityAudit", nil)
	return ipc.AuditCheckpoint{Version: 1, Checkpoint: "tokend-checkpoint-1.0123.1", Seq: 1, Time: noon}, nil
}

func (b *backend) VerifyAuthorityAudit(_ context.Context, p ipc.Principal, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error) {
	b.note(p, "VerifyAuthorityAudit", r)
	return ipc.AuditVerdict{Version: 1, Intact: true}, nil
}

func (b *backend) Users(_ context.Context, p ipc.Principal, q ipc.UserQuery) (ipc.UserPage, error) {
	b.note(p, "Users", q)
	return ipc.UserPage{Version: 1, Users: []ipc.User{alice}}, nil
}

func (b *backend) User(_ context.Context, p ipc.Principal, id string) (ipc.User, error) {
	b.note(p, "User "+id, nil)
	return alice, nil
}

func (b *backend) UserReport(_ context.Context, p ipc.Principal, id string) (ipc.UserReport, error) {
	b.note(p, "UserReport "+id, nil)
	return ipc.UserReport{Version: 1, User: alice, Fobs: []ipc.Fob{oneFob}}, nil
}

func (b *backend) AddUser(_ context.Context, p ipc.Principal, r ipc.NewUser) (ipc.User, error) {
	b.note(p, "AddUser", r)
	return alice, nil
}

func (b *backend) EditUser(_ context.Context, p ipc.Principal, id string, r ipc.EditUserRequest) (ipc.User, error) {
	b.note(p, "EditUser "+id, r)
	return alice, nil
}

func (b *backend) RemoveUser(_ context.Context, p ipc.Principal, id string, r ipc.RemoveUserRequest) (ipc.RemoveUserResult, error) {
	b.note(p, "RemoveUser "+id, r)
	return ipc.RemoveUserResult{Version: 1, Removed: alice}, nil
}

func (b *backend) Groups(_ context.Context, p ipc.Principal) (ipc.GroupList, error) {
	b.note(p, "Groups", nil)
	return ipc.GroupList{Version: 1, Groups: []ipc.Group{helpers}}, nil
}

func (b *backend) ChildAuthorities(_ context.Context, p ipc.Principal) (ipc.ChildAuthorityList, error) {
	b.note(p, "ChildAuthorities", nil)
	return ipc.ChildAuthorityList{Version: 1, Authorities: []ipc.ChildAuthority{west}}, nil
}

func (b *backend) AddChildAuthority(_ context.Context, p ipc.Principal, r ipc.NewChildAuthority) (ipc.ChildAuthority, error) {
	b.note(p, "AddChildAuthority", r)
	return west, nil
}

func (b *backend) RemoveChildAuthority(_ context.Context, p ipc.Principal, r ipc.ChildAuthorityRef) (ipc.ChildAuthority, error) {
	b.note(p, "RemoveChildAuthority", r)
	return west, nil
}

func (b *backend) AddGroup(_ context.Context, p ipc.Principal, r ipc.NewGroup) (ipc.Group, error) {
	b.note(p, "AddGroup", r)
	return helpers, nil
}

func (b *backend) RemoveGroup(_ context.Context, p ipc.Principal, r ipc.GroupRef) (ipc.Group, error) {
	b.note(p, "RemoveGroup", r)
	return helpers, nil
}

func (b *backend) Fobs(_ context.Context, p ipc.Principal, q ipc.FobQuery) (ipc.FobPage, error) {
	b.note(p, "Fobs", q)
	return ipc.FobPage{Version: 1, Fobs: []ipc.Fob{oneFob}}, nil
}

func (b *backend) Fob(_ context.Context, p ipc.Principal, id string) (ipc.Fob, error) {
	b.note(p, "Fob "+id, nil)
	return oneFob, nil
}

func (b *backend) ImportFobs(_ context.Context, p ipc.Principal, r ipc.ImportFobsRequest) (ipc.ImportFobsResult, error) {
	b.note(p, "ImportFobs", r)
	return ipc.ImportFobsResult{Version: 1, Applied: r.Apply}, nil
}

func (b *backend) AssignFob(_ context.Context, p ipc.Principal, id string, r ipc.AssignFobRequest) (ipc.Fob, error) {
	b.note(p, "AssignFob "+id, r)
	return oneFob, nil
}

func (b *backend) UnassignFob(_ context.Context, p ipc.Principal, id string, r ipc.UnassignFobRequest) (ipc.Fob, error) {
	b.note(p, "UnassignFob "+id, r)
	return oneFob, nil
}

func (b *backend) EnableFob(_ context.Context, p ipc.Principal, id string) (ipc.Fob, error) {
	b.note(p, "EnableFob "+id, nil)
	return oneFob, nil
}

func (b *backend) DisableFob(_ context.Context, p ipc.Principal, id string) (ipc.Fob, error) {
	b.note(p, "DisableFob "+id, nil)
	return oneFob, nil
}

func (b *backend) LoseFob(_ context.Context, p ipc.Principal, id string) (ipc.Fob, error) {
	b.note(p, "LoseFob "+id, nil)
	return oneFob, nil
}

func (b *backend) ReplaceFob(_ context.Context, p ipc.Principal, id string, r ipc.ReplaceFobRequest) (ipc.Fob, error) {
	b.note(p, "ReplaceFob "+id, r)
	return oneFob, nil
}

func (b *backend) ResyncFob(_ context.Context, p ipc.Principal, id string, r ipc.ResyncFobRequest) (ipc.Fob, error) {
	b.note(p, "ResyncFob "+id, r)
	return oneFob, nil
}

func (b *backend) ResyncOwnFob(_ context.Context, p ipc.Principal, id string, r ipc.ResyncFobRequest) (ipc.Fob, error) {
	b.note(p, "ResyncOwnFob "+id, r)
	return oneFob, nil
}

func (b *backend) BurnFobs(_ context.Context, p ipc.Principal, r ipc.BurnFobsRequest) (ipc.BurnFobsResult, error) {
	b.note(p, "BurnFobs", r)
	return ipc.BurnFobsResult{Version: 1, Raised: 1}, nil
}

func (b *backend) Policy(_ context.Context, p ipc.Principal) (ipc.PolicyText, error) {
	b.note(p, "Policy", nil)
	return ipc.PolicyText{Version: 1, Text: "version = 1\n"}, nil
}

func (b *backend) SetPolicy(_ context.Context, p ipc.Principal, r ipc.SetPolicyRequest) (ipc.PolicyFindings, error) {
	b.note(p, "SetPolicy", r)
	return ipc.PolicyFindings{Version: 1}, nil
}

func (b *backend) CheckPolicy(_ context.Context, p ipc.Principal, r ipc.CheckPolicyRequest) (ipc.PolicyFindings, error) {
	b.note(p, "CheckPolicy", r)
	return ipc.PolicyFindings{Version: 1}, nil
}

func (b *backend) ExplainPolicy(_ context.Context, p ipc.Principal, r ipc.ExplainPolicyRequest) (ipc.PolicyExplanation, error) {
	b.note(p, "ExplainPolicy", r)
	return ipc.PolicyExplanation{Version: 1, User: r.User, Outcome: "offered", Required: 1}, nil
}

func (b *backend) Verify(_ context.Context, p ipc.Principal, r ipc.VerifyRequest) (ipc.Verified, error) {
	b.note(p, "Verify", r)
	if string(r.Passcode) == "000000" {
		return ipc.Verified{}, ipc.Errorf(ipc.PasscodeInvalid, "the passcode was not accepted")
	}
	return ipc.Verified{Version: 1, Accepted: true}, nil
}

func (b *backend) VerifyAttended(_ context.Context, p ipc.Principal, r ipc.VerifyRequest) (ipc.AttendedVerdict, error) {
	b.note(p, "VerifyAttended", r)
	return ipc.AttendedVerdict{Version: 1, Accepted: true, Serial: "7700001"}, nil
}

var (
	oneActivation = ipc.Activation{ID: "a1", UserID: "u1", AccountID: "m1", Account: "vpn", By: "u2", Created: noon, Expires: noon, State: ipc.CodeOpen}
	oneBypass     = ipc.BypassCode{ID: "b1", UserID: "u1", By: "u2", Created: noon, Expires: noon, State: ipc.CodeOpen}
	oneDevice     = ipc.UserDevice{ID: "d1", UserID: "u1", Name: "laptop", State: ipc.DeviceActive, First: noon, Last: noon,
		Accounts: []ipc.DeviceAccount{{ID: "m1", Name: "vpn"}}}
)

func (b *backend) AuthorityMessage(_ context.Context, p ipc.Principal, r ipc.AuthorityMessage) (ipc.AuthorityAnswer, error) {
	b.note(p, "AuthorityMessage", r)
	return ipc.AuthorityAnswer{Version: 1, Message: []byte("answer")}, nil
}

func (b *backend) AuthorityDescriptor(_ context.Context, p ipc.Principal) (ipc.AuthorityDescriptor, error) {
	b.note(p, "AuthorityDescriptor", nil)
	return ipc.AuthorityDescriptor{Version: 1, Descriptor: []byte("descriptor"), Name: "Example AG", Fingerprint: "ABCD"}, nil
}

func (b *backend) CreateActivation(_ context.Context, p ipc.Principal, r ipc.NewActivation) (ipc.MadeActivation, error) {
	b.note(p, "CreateActivation", r)
	return ipc.MadeActivation{Version: 1, Activation: oneActivation, Link: ipc.Secret("tokend-activate:link")}, nil
}

func (b *backend) Activations(_ context.Context, p ipc.Principal, r ipc.UserRef) (ipc.ActivationList, error) {
	b.note(p, "Activations", r)
	return ipc.ActivationList{Version: 1, Activations: []ipc.Activation{oneActivation}}, nil
}

func (b *backend) ApproveActivation(_ context.Context, p ipc.Principal, id string) (ipc.Activation, error) {
	b.note(p, "ApproveActivation "+id, nil)
	return oneActivation, nil
}

func (b *backend) RevokeActivation(_ context.Context, p ipc.Principal, id string) (ipc.Activation, error) {
	b.note(p, "RevokeActivation "+id, nil)
	return oneActivation, nil
}

func (b *backend) CreateBypassCode(_ context.Context, p ipc.Principal, r ipc.NewBypassCode) (ipc.MadeBypassCode, error) {
	b.note(p, "CreateBypassCode", r)
	return ipc.MadeBypassCode{Version: 1, Bypass: oneBypass, Code: ipc.Secret("ABCD-EFGH-JKMN-PQRS")}, nil
}

func (b *backend) BypassCodes(_ context.Context, p ipc.Principal, r ipc.UserRef) (ipc.BypassCodeList, error) {
	b.note(p, "BypassCodes", r)
	return ipc.BypassCodeList{Version: 1, Codes: []ipc.BypassCode{oneBypass}}, nil
}

func (b *backend) RevokeBypassCode(_ context.Context, p ipc.Principal, id string) (ipc.BypassCode, error) {
	b.note(p, "RevokeBypassCode "+id, nil)
	return oneBypass, nil
}

func (b *backend) UserDevices(_ context.Context, p ipc.Principal, r ipc.UserRef) (ipc.UserDeviceList, error) {
	b.note(p, "UserDevices", r)
	return ipc.UserDeviceList{Version: 1, Devices: []ipc.UserDevice{oneDevice}}, nil
}

func (b *backend) UserDevice(_ context.Context, p ipc.Principal, id string) (ipc.UserDevice, error) {
	b.note(p, "UserDevice "+id, nil)
	return oneDevice, nil
}

func (b *backend) RevokeUserDevice(_ context.Context, p ipc.Principal, id string) (ipc.UserDevice, error) {
	b.note(p, "RevokeUserDevice "+id, nil)
	return oneDevice, nil
}

var oneKey = ipc.SecurityKey{ID: "k1", UserID: "u1", Name: "YubiKey", PIN: true, By: "u2", Created: noon}

func (b *backend) AddSecurityKey(_ context.Context, p ipc.Principal, r ipc.NewSecurityKey) (ipc.SecurityKey, error) {
	b.note(p, "AddSecurityKey", r)
	return oneKey, nil
}

func (b *backend) SecurityKeys(_ context.Context, p ipc.Principal, r ipc.UserRef) (ipc.SecurityKeyList, error) {
	b.note(p, "SecurityKeys", r)
	return ipc.SecurityKeyList{Version: 1, Keys: []ipc.SecurityKey{oneKey}}, nil
}

func (b *backend) RemoveSecurityKey(_ context.Context, p ipc.Principal, r ipc.SecurityKeyRef) (ipc.SecurityKey, error) {
	b.note(p, "RemoveSecurityKey", r)
	return oneKey, nil
}

var oneVerifier = ipc.SetUpVerifier{Name: ipc.VerifierRadius, By: "u1", Changed: noon, Factors: []ipc.Factor{ipc.FactorFob},
	Radius: &ipc.RadiusSettings{Servers: []ipc.RadiusServer{{Address: "radius.example.org:1812"}}}}

func (b *backend) Verifiers(_ context.Context, p ipc.Principal) (ipc.VerifierList, error) {
	b.note(p, "Verifiers", nil)
	return ipc.VerifierList{Version: 1, Verifiers: []ipc.SetUpVerifier{oneVerifier}}, nil
}

func (b *backend) SetVerifier(_ context.Context, p ipc.Principal, name string, r ipc.SetVerifierRequest) (ipc.SetUpVerifier, error) {
	b.note(p, "SetVerifier "+name, r)
	return oneVerifier, nil
}

func (b *backend) CheckVerifier(_ context.Context, p ipc.Principal, name string) (ipc.VerifierCheck, error) {
	b.note(p, "CheckVerifier "+name, nil)
	return ipc.VerifierCheck{Version: 1, Name: ipc.VerifierName(name), Servers: []ipc.VerifierServerCheck{{Server: "radius.example.org:1812", OK: true}}}, nil
}

func (b *backend) EnrollUser(_ context.Context, p ipc.Principal, name string, r ipc.UserRef) (ipc.MadeEnrolment, error) {
	b.note(p, "EnrollUser "+name, r)
	return ipc.MadeEnrolment{Version: 1, Verifier: ipc.VerifierDuo, UserID: "u1", Code: ipc.Secret("duo://code"), Until: noon}, nil
}

func (b *backend) RemoveVerifier(_ context.Context, p ipc.Principal, name string) (ipc.SetUpVerifier, error) {
	b.note(p, "RemoveVerifier "+name, nil)
	return oneVerifier, nil
}
