// Package udev holds the rules for the devices of security tokens.
package udev

import _ "embed" // for Rules

// RulesName is what the file of the rules is called where it is installed.
const RulesName = "70-tokend.rules"

// Rules is its text.
//
//go:embed 70-tokend.rules
var Rules []byte
