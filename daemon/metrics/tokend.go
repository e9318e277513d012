package metrics

// Tokend is what tokend counts. No label's value is a name, an id or anything else
// that a user or a token chose. The zero value counts nothing.
type Tokend struct {
	*Set

	Build, Started, Written *Gauge

	Requests    *Counter // api, outcome
	RequestTime *Histogram
	Refused     *Counter // listener
	Connections *Gauge   // listener

	Actions       *Counter // action, outcome
	Vaults        *Gauge   // state
	EventStreams  *Gauge
	EventsDropped *Counter

	TokenOperations    *Counter // kind, operation, outcome
	TokenOperationTime *Histogram
	TouchWaits         *Counter // kind
	TokensPresent      *Gauge   // kind
	TokenService       *Gauge   // kind
	Helper             *Gauge
	Bus                *Gauge

	ConfigOK, ConfigWaits, ConfigLoaded, ConfigFailing *Gauge

	BackupVaults       *Gauge // condition
	BackupProblems     *Gauge // problem
	BackupDestinations *Gauge // state
	BackupOldest       *Gauge
	BackupProved       *Gauge
	AuditLogs          *Gauge // state
	DiskFree           *Gauge

	AuthorityUp      *Gauge
	AuthorityActions *Counter // action, outcome
	VerifierUp       *Gauge   // type
	VerifierAnswers  *Counter // type, outcome
	VerifierTime     *Histogram
	StoreCommits     *Histogram

	Goroutines, Memory, Files, FilesMost *Gauge
	Processor                            *Counter
}

// New is what tokend counts, with nothing counted yet.
func New() *Tokend {
	s := &Set{}
	t := &Tokend{Set: s}
	t.general(s)
	t.users(s)
	t.tokens(s)
	t.authority(s)
	t.process(s)
	return t
}

// soon and slow are bounds in seconds: of what a program does, and of what waits for
// a person.
func soon() []float64 { return []float64{0.001, 0.005, 0.02, 0.1, 0.5, 2, 10} }

func slow() []float64 { return []float64{0.02, 0.1, 0.5, 1, 2, 5, 15, 60} }

func (t *Tokend) general(s *Set) {
	t.Build = s.Gauge("tokend_build_info", "1; its label is the version of tokend.", "version")
	t.Started = s.Gauge("tokend_start_time_seconds", "When tokend started, in seconds since 1970.")
	t.Written = s.Gauge("tokend_metrics_written_timestamp_seconds", "When these figures were gathered, in seconds since 1970: a textfile that is old tells of a tokend that stands still.")
	t.Requests = s.Counter("tokend_requests_total", "Calls that were answered, by API (http, dbus) and outcome: ok, or the kind of error.", "api", "outcome")
	t.RequestTime = s.Histogram("tokend_request_duration_seconds", "How long calls took, by what they do to the caller's things; streams left out. The wait for a touch is in it.", slow(), "access")
	t.Connections = s.Gauge("tokend_connections", "Connections to the socket (local) that are open.", "listener")
	t.Refused = s.Counter("tokend_connections_refused_total", "Connections to the socket (local) that were refused because there were too many.", "listener")
	t.Helper = s.Gauge("tokend_helper_up", "1 where tokend-helper can be used, and with it tokens.")
	t.Bus = s.Gauge("tokend_bus_up", "1 where tokend serves on D-Bus; absent where it is not to.")
	t.ConfigOK = s.Gauge("tokend_config_ok", "1 where the configuration file holds as it is; 0 where it was not taken, or changed since it was read.")
	t.ConfigFailing = s.Gauge("tokend_config_failing_settings", "How many settings hold, and what they name could not be started, used or written (metrics.textfile, authority.listen, and mail for all of that section).")
	t.ConfigWaits = s.Gauge("tokend_config_waiting_settings", "How many settings of the file wait for a restart.")
	t.ConfigLoaded = s.Gauge("tokend_config_loaded_timestamp_seconds", "When the configuration was read last and taken, in seconds since 1970.")
	t.DiskFree = s.Gauge("tokend_state_free_bytes", "Free space of the state folder's file system.")
}

func (t *Tokend) users(s *Set) {
	t.Actions = s.Counter("tokend_vault_actions_total", "What was done with vaults as their audit logs have it (unlock, lock, code, …), by action and outcome (ok, failed).", "action", "outcome")
	t.Vaults = s.Gauge("tokend_vaults", "How many vaults there are, by state.", "state")
	t.EventStreams = s.Gauge("tokend_event_streams", "How many streams of events are open.")
	t.EventsDropped = s.Counter("tokend_events_dropped_total", "Events that slow receivers lost.")
	t.BackupVaults = s.Gauge("tokend_backup_vaults", "How many vaults have backups as they should be (ok), and how many not (urgent).", "condition")
	t.BackupProblems = s.Gauge("tokend_backup_problems", "Problems of backups over all vaults, by code (docs/doctor.md).", "problem")
	t.BackupDestinations = s.Gauge("tokend_backup_destinations", "Folders that backups are copied to, over all vaults, by state.", "state")
	t.BackupOldest = s.Gauge("tokend_backup_oldest_success_timestamp_seconds", "Of all destinations, when the one that waits longest was last seen to have the newest backup, in seconds since 1970; 0 where one never was.")
	t.BackupProved = s.Gauge("tokend_backup_oldest_proof_timestamp_seconds", "Of all vaults with a backup, when the drill of the one that waits longest was, in seconds since 1970; 0 where one never was.")
	t.AuditLogs = s.Gauge("tokend_audit_logs", "Audit logs, by state (intact, damaged); read at most each ten minutes.", "state")
}

func (t *Tokend) tokens(s *Set) {
	t.TokenOperations = s.Counter("tokend_token_operations_total", "Operations with tokens, by kind, operation and outcome: ok, or the reason.", "kind", "operation", "outcome")
	t.TokenOperationTime = s.Histogram("tokend_token_operation_duration_seconds", "How long operations with tokens took, the wait for a touch included.", slow(), "kind", "operation")
	t.TouchWaits = s.Counter("tokend_token_touch_waits_total", "How often a token waited for a touch.", "kind")
	t.TokensPresent = s.Gauge("tokend_tokens_present", "Tokens that are plugged in, by kind.", "kind")
	t.TokenService = s.Gauge("tokend_token_service_up", "1 where tokens of a kind can be watched: pcscd answers, hidraw can be read.", "kind")
}

func (t *Tokend) authority(s *Set) {
	t.AuthorityUp = s.Gauge("tokend_authority_up", "1 where the authority answers, 0 where it is locked or cannot be used; absent where there is none.")
	t.AuthorityActions = s.Counter("tokend_authority_actions_total", "What was done at the authority as its audit log has it (verify, activate, …), by action and outcome: ok, or the reason.", "action", "outcome")
	t.VerifierUp = s.Gauge("tokend_authority_verifier_up", "1 where the last question to verifiers of a type (radius, duo) was answered.", "type")
	t.VerifierAnswers = s.Counter("tokend_authority_verifier_answers_total", "Answers of remote verifiers, by type and outcome.", "type", "outcome")
	t.VerifierTime = s.Histogram("tokend_authority_verifier_duration_seconds", "How long remote verifiers took to answer.", slow(), "type")
	t.StoreCommits = s.Histogram("tokend_authority_store_commit_seconds", "How long the authority's file took to be written and synced.", soon())
}

func (t *Tokend) process(s *Set) {
	t.Goroutines = s.Gauge("go_goroutines", "Number of goroutines that currently exist.")
	t.Memory = s.Gauge("process_resident_memory_bytes", "Resident memory size in bytes.")
	t.Files = s.Gauge("process_open_fds", "Number of open file descriptors.")
	t.FilesMost = s.Gauge("process_max_fds", "Maximum number of open file descriptors.")
	t.Processor = s.Counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.")
}
