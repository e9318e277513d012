package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenbridge/tokend/ipc"
)

// authorityDesk is what tokenctl needs of a daemon in which an authority lives:
// ipc.Authority without the principal; messages go by package carry.
type authorityDesk interface {
	Authority(ctx context.Context) (ipc.AuthorityInfo, error)
	CreateAuthority(ctx context.Context, r ipc.CreateAuthorityRequest) (ipc.AuthorityInfo, error)
	EditAuthority(ctx context.Context, r ipc.EditAuthorityRequest) (ipc.AuthorityInfo, error)
	AuthorityAudit(ctx context.Context, r ipc.AuditQuery) (ipc.AuditPage, error)
	CheckpointAuthorityAudit(ctx context.Context) (ipc.AuditCheckpoint, error)
	VerifyAuthorityAudit(ctx context.Context, r ipc.VerifyAuditRequest) (ipc.AuditVerdict, error)
	UnlockAuthority(ctx context.Context, r ipc.UnlockAuthorityRequest) (ipc.AuthorityInfo, error)
	LockAuthority(ctx context.Context) (ipc.AuthorityLock, error)
	AuthorityKeys(ctx context.Context) (ipc.AuthorityKeyList, error)
	AddAuthorityKey(ctx context.Context, r ipc.AddAuthorityKeyRequest) (ipc.AuthorityKeyHolder, error)
	RemoveAuthorityKey(ctx context.Context, id string) (ipc.AuthorityKeyHolder, error)

	Users(ctx context.Context, q ipc.UserQuery) (ipc.UserPage, error)
	User(ctx context.Context, id string) (ipc.User, error)
	UserReport(ctx context.Context, id string) (ipc.UserReport, error)
	AddUser(ctx context.Context, r ipc.NewUser) (ipc.User, error)
	EditUser(ctx context.Context, id string, r ipc.EditUserRequest) (ipc.User, error)
	RemoveUser(ctx context.Context, id string, r ipc.RemoveUserRequest) (ipc.RemoveUserResult, error)

	Groups(ctx context.Context) (ipc.GroupList, error)
	AddGroup(ctx context.Context, r ipc.NewGroup) (ipc.Group, error)
	RemoveGroup(ctx context.Context, r ipc.GroupRef) (ipc.Group, error)

	ChildAuthorities(ctx context.Context) (ipc.ChildAuthorityList, error)
	AddChildAuthority(ctx context.Context, r ipc.NewChildAuthority) (ipc.ChildAuthority, error)
	RemoveChildAuthority(ctx context.Context, r ipc.ChildAuthorityRef) (ipc.ChildAuthority, error)

	Fobs(ctx context.Context, q ipc.FobQuery) (ipc.FobPage, error)
	Fob(ctx context.Context, id string) (ipc.Fob, error)
	ImportFobs(ctx context.Context, r ipc.ImportFobsRequest) (ipc.ImportFobsResult, error)
	AssignFob(ctx context.Context, id string, r ipc.AssignFobRequest) (ipc.Fob, error)
	UnassignFob(ctx context.Context, id string, r ipc.UnassignFobRequest) (ipc.Fob, error)
	EnableFob(ctx context.Context, id string) (ipc.Fob, error)
	DisableFob(ctx context.Context, id string) (ipc.Fob, error)
	LoseFob(ctx context.Context, id string) (ipc.Fob, error)
	ReplaceFob(ctx context.Context, id string, r ipc.ReplaceFobRequest) (ipc.Fob, error)
	ResyncFob(ctx context.Context, id string, r ipc.ResyncFobRequest) (ipc.Fob, error)
	ResyncOwnFob(ctx context.Context, id string, r ipc.ResyncFobRequest) (ipc.Fob, error)
	BurnFobs(ctx context.Context, r ipc.BurnFobsRequest) (ipc.BurnFobsResult, error)

	Policy(ctx context.Context) (ipc.PolicyText, error)
	SetPolicy(ctx context.Context, r ipc.SetPolicyRequest) (ipc.PolicyFindings, error)
	CheckPolicy(ctx context.Context, r ipc.CheckPolicyRequest) (ipc.PolicyFindings, error)
	ExplainPolicy(ctx context.Context, r ipc.ExplainPolicyRequest) (ipc.PolicyExplanation, error)

	Verify(ctx context.Context, r ipc.VerifyRequest) (ipc.Verified, error)
	VerifyAttended(ctx context.Context, r ipc.VerifyRequest) (ipc.AttendedVerdict, error)

	AuthorityMessage(ctx context.Context, r ipc.AuthorityMessage) (ipc.AuthorityAnswer, error)
	AuthorityDescriptor(ctx context.Context) (ipc.AuthorityDescriptor, error)

	CreateActivation(ctx context.Context, r ipc.NewActivation) (ipc.MadeActivation, error)
	Activations(ctx context.Context, r ipc.UserRef) (ipc.ActivationList, error)
	ApproveActivation(ctx context.Context, id string) (ipc.Activation, error)
	RevokeActivation(ctx context.Context, id string) (ipc.Activation, error)
	CreateBypassCode(ctx context.Context, r ipc.NewBypassCode) (ipc.MadeBypassCode, error)
	BypassCodes(ctx context.Context, r ipc.UserRef) (ipc.BypassCodeList, error)
	RevokeBypassCode(ctx context.Context, id string) (ipc.BypassCode, error)
	UserDevices(ctx context.Context, r ipc.UserRef) (ipc.UserDeviceList, error)
	UserDevice(ctx context.Context, id string) (ipc.UserDevice, error)
	RevokeUserDevice(ctx context.Context, id string) (ipc.UserDevice, error)
	AddSecurityKey(ctx context.Context, r ipc.NewSecurityKey) (ipc.SecurityKey, error)
	SecurityKeys(ctx context.Context, r ipc.UserRef) (ipc.SecurityKeyList, error)
	RemoveSecurityKey(ctx context.Context, r ipc.SecurityKeyRef) (ipc.SecurityKey, error)

	Verifiers(ctx context.Context) (ipc.VerifierList, error)
	SetVerifier(ctx context.Context, name string, r ipc.SetVerifierRequest) (ipc.SetUpVerifier, error)
	CheckVerifier(ctx context.Context, name string) (ipc.VerifierCheck, error)
	RemoveVerifier(ctx context.Context, name string) (ipc.SetUpVerifier, error)
	EnrollUser(ctx context.Context, name string, r ipc.UserRef) (ipc.MadeEnrolment, error)
}

const adminHelp = `Run the authority that lives in the daemon: whose users and fobs (hardware OTP
tokens) it knows, what its policy says, and whether a passcode is right.

An authority is made once, by root or by the owner of a user's own daemon, who
may do everything. Others do what their role allows:

  user       resyncs a fob of his own
  verifier   asks whether passcodes are right ("admin verify --quiet")
  helpdesk   sees users, fobs and devices, verifies, resyncs, enables, disables
             fobs; makes activations and bypass codes where the policy says so
  admin      everything but administrators and owners
  owner      everything

Who is a user is known by his login on this machine: "admin user add --login".
Roles are a user's own, or by a group of this machine: "admin group add". Those of
users of a child authority end there: "admin authority child".`

func (c *cli) adminCommand() *cobra.Command {
	cmd := group("admin", "Run an authority: users, fobs, policy, passcodes",
		c.adminAuthorityCommand(), c.adminUserCommand(), c.adminGroupCommand(), c.adminFobCommand(), c.adminVerifyCommand(),
		c.adminActivationCommand(), c.adminBypassCommand(), c.adminDeviceCommand(), c.adminMessageCommand(), c.adminPolicyCommand(), c.adminVerifierCommand(), c.adminAuditCommand())
	cmd.Long = adminHelp
	return cmd
}

// deskFail is fail with the advice that suits an authority.
func deskFail(doing string, err error) error { return deskFailOf(subject{}, doing, err) }

// aRole is a role as it was typed.
func aRole(s string) (ipc.Role, error) {
	r := ipc.Role(strings.ToLower(strings.TrimSpace(s)))
	if !slices.Contains(allRoles(), r) {
		return "", usage(fmt.Sprintf("there is no role %q", s), adviceRoles()...)
	}
	return r, nil
}

// allRoles are the roles, the least first.
func allRoles() []ipc.Role {
	return []ipc.Role{ipc.RoleUser, ipc.RoleVerifier, ipc.RoleHelpdesk, ipc.RoleAdmin, ipc.RoleOwner}
}

// words joins names of any kind; a dash where there are none.
func words[S ~string](names []S) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = string(n)
	}
	return orDash(strings.Join(all, ", "))
}

// answer shows a document: as JSON, or as words for people.
func (c *cli) answer(doc any, people func()) error {
	if c.json {
		return c.printJSON(doc)
	}
	people()
	return nil
}
