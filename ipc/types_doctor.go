package ipc

// Findings is what the doctor found, worst first.
type Findings struct {
	Version  int       `json:"version"`
	Findings []Finding `json:"findings"`
}

// Finding is one thing checked.
type Finding struct {
	Code    string `json:"code"`
	Level   string `json:"level"` // "ok", "note", "warning", "error"
	Message string `json:"message"`
	// Fix is the command that mends it.
	Fix string `json:"fix,omitempty"`
}

// ConfigState says which configuration a daemon goes by, and what of its file does
// not hold yet.
type ConfigState struct {
	// File is absent where there is none, and the defaults hold.
	File string `json:"file,omitempty"`
	// Loaded is when it was read last and taken.
	Loaded Time `json:"loaded"`
	// Waits are the settings that the file has changed since the start, and that
	// change at the next start.
	Waits []string `json:"waits,omitempty"`
	// Changed says that the file is not as it was read.
	Changed bool `json:"changed,omitempty"`
	// Problem is why the file was not taken when it was read last, or what is wrong with it
	// by now, whether it was read or not, for who administers the machine and in general words for
	// others; what was read before holds.
	Problem string `json:"problem,omitempty"`
	// Mended says that the problem is there no more: the file holds from the next reload on.
	Mended bool `json:"mended,omitempty"`
	// Failing are the settings that hold, and by which something could not be started or
	// written.
	Failing []ConfigFailure `json:"failing,omitempty"`
}

// ConfigFailure is a setting that holds, and what cannot be done as it says.
type ConfigFailure struct {
	Setting string `json:"setting"`
	// Problem is why, for who administers the machine and in general words for others.
	Problem string `json:"problem"`
	// Fix is the command that mends it, where it is not the setting that has to change.
	Fix string `json:"fix,omitempty"`
}
