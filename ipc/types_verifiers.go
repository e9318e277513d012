package ipc

// VerifierName names who verifies factors elsewhere: a policy calls him so.
type VerifierName string

// The verifiers.
const (
	VerifierRadius VerifierName = "radius"
	VerifierDuo    VerifierName = "duo"
)

// SetVerifierRequest sets up a verifier, in the place of what was set up under that
// name. One of the two is given.
type SetVerifierRequest struct {
	Radius *RadiusSettings `json:"radius,omitempty"`
	Duo    *DuoSettings    `json:"duo,omitempty"`
}

// RadiusSettings are an organisation's RADIUS servers.
type RadiusSettings struct {
	// Servers are asked in this order, the next one where one does not answer.
	Servers []RadiusServer `json:"servers"`
	// NASIdentifier is by what name the servers know the authority, "tokend" when
	// empty.
	NASIdentifier string `json:"nas_identifier,omitempty"`
	// TimeoutSeconds is how long one try waits, Tries how often one server is tried;
	// as the authority thinks best when 0.
	TimeoutSeconds int `json:"timeout_seconds,omitempty"`
	Tries          int `json:"tries,omitempty"`
	// PushWord and PhoneWord are sent as the password where the user types nothing;
	// without them RADIUS verifies no push and no phone_call.
	PushWord  string `json:"push_word,omitempty"`
	PhoneWord string `json:"phone_word,omitempty"`
	SMSWord   string `json:"sms_word,omitempty"`
	// WaitSeconds is how long a server may then take.
	WaitSeconds int `json:"wait_seconds,omitempty"`
}

// RadiusServer is one RADIUS server.
type RadiusServer struct {
	Address string `json:"address"` // host:port
	// Secret is the one that is shared with it. It is never shown again.
	Secret Secret `json:"secret,omitempty"`
}

// DuoSettings are an application of the type Auth API at Duo.
type DuoSettings struct {
	Host           string `json:"host"`
	IntegrationKey string `json:"integration_key"`
	// SecretKey is never shown again.
	SecretKey      Secret `json:"secret_key,omitempty"`
	TimeoutSeconds int    `json:"timeout_seconds,omitempty"` // of one request
	// CACertificates (PEM) are from whom the host's certificate has to come, where that
	// is not one of those whom Duo's are from: a proxy that looks into TLS has one.
	CACertificates string `json:"ca_certificates,omitempty"`
}

// SetUpVerifier is a verifier that is set up, without its secrets.
type SetUpVerifier struct {
	Name    VerifierName    `json:"name"`
	Radius  *RadiusSettings `json:"radius,omitempty"`
	Duo     *DuoSettings    `json:"duo,omitempty"`
	By      string          `json:"by"` // the id of who set it up
	Changed Time            `json:"changed"`
	// Factors are those that the policy has it verify.
	Factors []Factor `json:"factors"`
	// Problem is why it cannot be used, or why it gave no answer the last time that it
	// did not, which was at Failed.
	Problem string `json:"problem,omitempty"`
	Failed  Time   `json:"failed,omitzero"`
}

// VerifierList are the verifiers that are set up.
type VerifierList struct {
	Version   int             `json:"version"`
	Verifiers []SetUpVerifier `json:"verifiers"`
}

// MadeEnrolment is an account that was made for a user at a verifier, with what he
// takes it over by. Whoever has that can enrol in his place; it is shown this once.
type MadeEnrolment struct {
	Version  int          `json:"version"`
	Verifier VerifierName `json:"verifier"`
	UserID   string       `json:"user_id"`
	// Link is opened on his phone, Code is what the verifier's program there reads as a
	// QR code.
	Link  Secret `json:"link,omitempty"`
	Code  Secret `json:"code"`
	Until Time   `json:"until"`
}

// VerifierCheck says whether a verifier answers.
type VerifierCheck struct {
	Version int                   `json:"version"`
	Name    VerifierName          `json:"name"`
	Servers []VerifierServerCheck `json:"servers"`
}

// VerifierServerCheck says whether one server does.
type VerifierServerCheck struct {
	Server string `json:"server"`
	OK     bool   `json:"ok"`
	// Problem is what it answered instead.
	Problem string `json:"problem,omitempty"`
}
