package client

import (
	"context"

	"github.com/tokenbridge/tokend/ipc"
)

// Authority tells what the authority in this daemon says of itself.
func (c *Client) Authority(ctx context.Context) (ipc.AuthorityInfo, error) {
	return get[ipc.AuthorityInfo](ctx, c, "admin/authority")
}

// CreateAuthority makes an authority in this daemon.
func (c *Client) CreateAuthority(ctx context.Context, r ipc.CreateAuthorityRequest) (ipc.AuthorityInfo, error) {
	return send[ipc.AuthorityInfo](ctx, c, "POST", "admin/authority", r)
}

// EditAuthority changes what the authority says of itself.
func (c *Client) EditAuthority(ctx context.Context, r ipc.EditAuthorityRequest) (ipc.AuthorityInfo, error) {
	return send[ipc.AuthorityInfo](ctx, c, "PUT", "admin/authority", r)
}

// UnlockAuthority opens an authority that is locked.
func (c *Client) UnlockAuthority(ctx context.Context, r ipc.UnlockAuthorityRequest) (ipc.AuthorityInfo, error) {
	return send[ipc.AuthorityInfo](ctx, c, "POST", "admin/authority/unlock", r)
}

// LockAuthority locks an authority that tokens open.
func (c *Client) LockAuthority(ctx context.Context) (ipc.AuthorityLock, error) {
	return send[ipc.AuthorityLock](ctx, c, "POST", "admin/authority/lock", nil)
}

// AuthorityKeys lists what holds the authority's key.
func (c *Client) AuthorityKeys(ctx context.Context) (ipc.AuthorityKeyList, error) {
	return get[ipc.AuthorityKeyList](ctx, c, "admin/authority/keys")
}

// AddAuthorityKey lets one more token open the authority.
func (c *Client) AddAuthorityKey(ctx context.Context, r ipc.AddAuthorityKeyRequest) (ipc.AuthorityKeyHolder, error) {
	return send[ipc.AuthorityKeyHolder](ctx, c, "POST", "admin/authority/keys", r)
}

// RemoveAuthorityKey lets a token, or the key file, open the authority no more.
func (c *Client) RemoveAuthorityKey(ctx context.Context, id string) (ipc.AuthorityKeyHolder, error) {
	return send[ipc.AuthorityKeyHolder](ctx, c, "DELETE", at("admin/authority/keys", id, ""), nil)
}

// AuthorityAudit reads a page of the authority's audit chain.
func (c *Client) AuthorityAudit(ctx context.Context, r ipc.AuditQuery) (ipc.AuditPage, error) {
	return send[ipc.AuditPage](ctx, c, "POST", "admin/audit", r)
}

// CheckpointAuthorityAudit signs that the authority's chain has its last entry.
func (c *Client) CheckpointAuthorityAudit(ctx context.Context) (ipc.AuditCheckpoint, error) {
	return send[ipc.AuditCheckpoint](ctx, c, "POST", "admin/audit/checkpoint", nil)
}

// VerifyAuthorityAudit checks the authority's chain, and compares it with
// checkpoints.
func (c *Client) VerifyAuthorityAudit(ctx context.Context, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error) {
	return send[ipc.AuditVerdict](ctx, c, "POST", "admin/audit/verify", r)
}

// Users lists a page of the authority's users.
func (c *Client) Users(ctx context.Context, q ipc.UserQuery) (ipc.UserPage, error) {
	return send[ipc.UserPage](ctx, c, "POST", "admin/users/list", q)
}

// User shows one user.
func (c *Client) User(ctx context.Context, id string) (ipc.User, error) {
	return get[ipc.User](ctx, c, at("admin/users", id, ""))
}

// UserReport is all there is of a user.
func (c *Client) UserReport(ctx context.Context, id string) (ipc.UserReport, error) {
	return get[ipc.UserReport](ctx, c, at("admin/users", id, "report"))
}

// AddUser adds a user.
func (c *Client) AddUser(ctx context.Context, r ipc.NewUser) (ipc.User, error) {
	return send[ipc.User](ctx, c, "POST", "admin/users", r)
}

// EditUser changes a user.
func (c *Client) EditUser(ctx context.Context, id string, r ipc.EditUserRequest) (ipc.User, error) {
	return send[ipc.User](ctx, c, "PUT", at("admin/users", id, ""), r)
}

// RemoveUser removes a user.
func (c *Client) RemoveUser(ctx context.Context, id string, r ipc.RemoveUserRequest) (ipc.RemoveUserResult, error) {
	return send[ipc.RemoveUserResult](ctx, c, "DELETE", at("admin/users", id, ""), r)
}

// Groups lists the groups that have roles.
func (c *Client) Groups(ctx context.Context) (ipc.GroupList, error) {
	return get[ipc.GroupList](ctx, c, "admin/groups")
}

// AddGroup gives the members of a group roles.
func (c *Client) AddGroup(ctx context.Context, r ipc.NewGroup) (ipc.Group, error) {
	return send[ipc.Group](ctx, c, "POST", "admin/groups", r)
}

// RemoveGroup takes the roles from the members of a group.
func (c *Client) RemoveGroup(ctx context.Context, r ipc.GroupRef) (ipc.Group, error) {
	return send[ipc.Group](ctx, c, "POST", "admin/groups/remove", r)
}

// ChildAuthorities lists the child authorities that the caller's roles reach.
func (c *Client) ChildAuthorities(ctx context.Context) (ipc.ChildAuthorityList, error) {
	return get[ipc.ChildAuthorityList](ctx, c, "admin/authorities")
}

// AddChildAuthority makes a child authority.
func (c *Client) AddChildAuthority(ctx context.Context, r ipc.NewChildAuthority) (ipc.ChildAuthority, error) {
	return send[ipc.ChildAuthority](ctx, c, "POST", "admin/authorities", r)
}

// RemoveChildAuthority removes a child authority that is empty.
func (c *Client) RemoveChildAuthority(ctx context.Context, r ipc.ChildAuthorityRef) (ipc.ChildAuthority, error) {
	return send[ipc.ChildAuthority](ctx, c, "POST", "admin/authorities/remove", r)
}

// Fobs lists a page of the authority's fobs.
func (c *Client) Fobs(ctx context.Context, q ipc.FobQuery) (ipc.FobPage, error) {
	return send[ipc.FobPage](ctx, c, "POST", "admin/fobs/list", q)
}

// Fob shows one fob.
func (c *Client) Fob(ctx context.Context, id string) (ipc.Fob, error) {
	return get[ipc.Fob](ctx, c, at("admin/fobs", id, ""))
}

// ImportFobs plans adding a page of fobs, or does it.
func (c *Client) ImportFobs(ctx context.Context, r ipc.ImportFobsRequest) (ipc.ImportFobsResult, error) {
	return send[ipc.ImportFobsResult](ctx, c, "POST", "admin/fobs/import", r)
}

// AssignFob gives a fob to a user.
func (c *Client) AssignFob(ctx context.Context, id string, r ipc.AssignFobRequest) (ipc.Fob, error) {
	return send[ipc.Fob](ctx, c, "POST", at("admin/fobs", id, "assign"), r)
}

// UnassignFob takes a fob from a user, or from all its users.
func (c *Client) UnassignFob(ctx context.Context, id string, r ipc.UnassignFobRequest) (ipc.Fob, error) {
	return send[ipc.Fob](ctx, c, "POST", at("admin/fobs", id, "unassign"), r)
}

// EnableFob makes a fob active again.
func (c *Client) EnableFob(ctx context.Context, id string) (ipc.Fob, error) {
	return send[ipc.Fob](ctx, c, "POST", at("admin/fobs", id, "enable"), nil)
}

// DisableFob makes a fob's passcodes good for nothing for a while.
func (c *Client) DisableFob(ctx context.Context, id string) (ipc.Fob, error) {
	return send[ipc.Fob](ctx, c, "POST", at("admin/fobs", id, "disable"), nil)
}

// LoseFob notes that a fob is lost.
func (c *Client) LoseFob(ctx context.Context, id string) (ipc.Fob, error) {
	return send[ipc.Fob](ctx, c, "POST", at("admin/fobs", id, "lost"), nil)
}

// ReplaceFob gives a fob's users another in its place.
func (c *Client) ReplaceFob(ctx context.Context, id string, r ipc.ReplaceFobRequest) (ipc.Fob, error) {
	return send[ipc.Fob](ctx, c, "POST", at("admin/fobs", id, "replace"), r)
}

// ResyncFob finds a fob by two passcodes of a person who is attended to.
func (c *Client) ResyncFob(ctx context.Context, id string, r ipc.ResyncFobRequest) (ipc.Fob, error) {
	return send[ipc.Fob](ctx, c, "POST", at("admin/fobs", id, "resync"), r)
}

// ResyncOwnFob finds one's own fob by three passcodes.
func (c *Client) ResyncOwnFob(ctx context.Context, id string, r ipc.ResyncFobRequest) (ipc.Fob, error) {
	return send[ipc.Fob](ctx, c, "POST", at("fobs", id, "resync"), r)
}

// BurnFobs uses up passcodes that may have been accepted before the registry was set back.
func (c *Client) BurnFobs(ctx context.Context, r ipc.BurnFobsRequest) (ipc.BurnFobsResult, error) {
	return send[ipc.BurnFobsResult](ctx, c, "POST", "admin/fobs/burn", r)
}

// Policy reads the authority's policy.
func (c *Client) Policy(ctx context.Context) (ipc.PolicyText, error) {
	return get[ipc.PolicyText](ctx, c, "admin/policy")
}

// SetPolicy replaces the policy.
func (c *Client) SetPolicy(ctx context.Context, r ipc.SetPolicyRequest) (ipc.PolicyFindings, error) {
	return send[ipc.PolicyFindings](ctx, c, "PUT", "admin/policy", r)
}

// CheckPolicy says what is wrong with a policy.
func (c *Client) CheckPolicy(ctx context.Context, r ipc.CheckPolicyRequest) (ipc.PolicyFindings, error) {
	return send[ipc.PolicyFindings](ctx, c, "POST", "admin/policy/check", r)
}

// ExplainPolicy says what the policy leaves a user, and by which rule.
func (c *Client) ExplainPolicy(ctx context.Context, r ipc.ExplainPolicyRequest) (ipc.PolicyExplanation, error) {
	return send[ipc.PolicyExplanation](ctx, c, "POST", "admin/policy/explain", r)
}

// Verify asks whether a passcode is right.
func (c *Client) Verify(ctx context.Context, r ipc.VerifyRequest) (ipc.Verified, error) {
	return send[ipc.Verified](ctx, c, "POST", "verify", r)
}

// VerifyAttended asks whether a passcode is right, and why not.
func (c *Client) VerifyAttended(ctx context.Context, r ipc.VerifyRequest) (ipc.AttendedVerdict, error) {
	return send[ipc.AttendedVerdict](ctx, c, "POST", "admin/verify", r)
}

// AuthorityMessage carries a sealed message of a device to the authority.
func (c *Client) AuthorityMessage(ctx context.Context, r ipc.AuthorityMessage) (ipc.AuthorityAnswer, error) {
	return send[ipc.AuthorityAnswer](ctx, c, "POST", "authority/message", r)
}

// AuthorityDescriptor is what devices are told of the authority.
func (c *Client) AuthorityDescriptor(ctx context.Context) (ipc.AuthorityDescriptor, error) {
	return get[ipc.AuthorityDescriptor](ctx, c, "authority/descriptor")
}

// CreateActivation lets one device of a user's have a managed account.
func (c *Client) CreateActivation(ctx context.Context, r ipc.NewActivation) (ipc.MadeActivation, error) {
	return send[ipc.MadeActivation](ctx, c, "POST", "admin/activations", r)
}

// Activations lists a user's activations.
func (c *Client) Activations(ctx context.Context, r ipc.UserRef) (ipc.ActivationList, error) {
	return send[ipc.ActivationList](ctx, c, "POST", "admin/activations/list", r)
}

// ApproveActivation is the second person's yes.
func (c *Client) ApproveActivation(ctx context.Context, id string) (ipc.Activation, error) {
	return send[ipc.Activation](ctx, c, "POST", at("admin/activations", id, "approve"), nil)
}

// RevokeActivation makes an activation useless.
func (c *Client) RevokeActivation(ctx context.Context, id string) (ipc.Activation, error) {
	return send[ipc.Activation](ctx, c, "POST", at("admin/activations", id, "revoke"), nil)
}

// CreateBypassCode makes a code that takes the place of a user's factor once.
func (c *Client) CreateBypassCode(ctx context.Context, r ipc.NewBypassCode) (ipc.MadeBypassCode, error) {
	return send[ipc.MadeBypassCode](ctx, c, "POST", "admin/bypass-codes", r)
}

// BypassCodes lists a user's bypass codes.
func (c *Client) BypassCodes(ctx context.Context, r ipc.UserRef) (ipc.BypassCodeList, error) {
	return send[ipc.BypassCodeList](ctx, c, "POST", "admin/bypass-codes/list", r)
}

// RevokeBypassCode makes a bypass code useless.
func (c *Client) RevokeBypassCode(ctx context.Context, id string) (ipc.BypassCode, error) {
	return send[ipc.BypassCode](ctx, c, "POST", at("admin/bypass-codes", id, "revoke"), nil)
}

// UserDevices lists the devices that have a user's managed accounts.
func (c *Client) UserDevices(ctx context.Context, r ipc.UserRef) (ipc.UserDeviceList, error) {
	return send[ipc.UserDeviceList](ctx, c, "POST", "admin/devices/list", r)
}

// UserDevice returns a device that has managed accounts, or had some.
func (c *Client) UserDevice(ctx context.Context, id string) (ipc.UserDevice, error) {
	return get[ipc.UserDevice](ctx, c, at("admin/devices", id, ""))
}

// RevokeUserDevice takes all managed accounts from a device.
func (c *Client) RevokeUserDevice(ctx context.Context, id string) (ipc.UserDevice, error) {
	return send[ipc.UserDevice](ctx, c, "POST", at("admin/devices", id, "revoke"), nil)
}

// AddSecurityKey registers a user's security key.
func (c *Client) AddSecurityKey(ctx context.Context, r ipc.NewSecurityKey) (ipc.SecurityKey, error) {
	return send[ipc.SecurityKey](ctx, c, "POST", "admin/security-keys", r)
}

// SecurityKeys lists a user's security keys.
func (c *Client) SecurityKeys(ctx context.Context, r ipc.UserRef) (ipc.SecurityKeyList, error) {
	return send[ipc.SecurityKeyList](ctx, c, "POST", "admin/security-keys/list", r)
}

// RemoveSecurityKey forgets one of a user's security keys.
func (c *Client) RemoveSecurityKey(ctx context.Context, r ipc.SecurityKeyRef) (ipc.SecurityKey, error) {
	return send[ipc.SecurityKey](ctx, c, "POST", "admin/security-keys/remove", r)
}

// Verifiers lists who verifies factors elsewhere.
func (c *Client) Verifiers(ctx context.Context) (ipc.VerifierList, error) {
	return get[ipc.VerifierList](ctx, c, "admin/verifiers")
}

// SetVerifier sets up who verifies factors elsewhere.
func (c *Client) SetVerifier(ctx context.Context, name string, r ipc.SetVerifierRequest) (ipc.SetUpVerifier, error) {
	return send[ipc.SetUpVerifier](ctx, c, "PUT", at("admin/verifiers", name, ""), r)
}

// CheckVerifier asks whether a verifier answers.
func (c *Client) CheckVerifier(ctx context.Context, name string) (ipc.VerifierCheck, error) {
	return send[ipc.VerifierCheck](ctx, c, "POST", at("admin/verifiers", name, "check"), nil)
}

// EnrollUser makes a user's account at a verifier.
func (c *Client) EnrollUser(ctx context.Context, name string, r ipc.UserRef) (ipc.MadeEnrolment, error) {
	return send[ipc.MadeEnrolment](ctx, c, "POST", at("admin/verifiers", name, "enroll"), r)
}

// RemoveVerifier forgets a verifier.
func (c *Client) RemoveVerifier(ctx context.Context, name string) (ipc.SetUpVerifier, error) {
	return send[ipc.SetUpVerifier](ctx, c, "DELETE", at("admin/verifiers", name, ""), nil)
}
