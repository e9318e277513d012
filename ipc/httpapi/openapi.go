package httpapi

import _ "embed"

// document is written by the tests of this package from the table of routes,
// the wire types and their comments (go test -run TestOpenAPI -update).
//
//go:embed openapi.json
var document string

// OpenAPI returns the OpenAPI 3.1 document of the API.
func OpenAPI() []byte { return []byte(document) }
