package fido2

const missing = "this build cannot work with FIDO2 keys: Windows lets administrators alone speak with them, and everybody else by a dialog of its own, which tokend does not use so far"
