package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
)

// The part of CycloneDX 1.6 that is written. It has neither a time nor a random
// number in it, so that two builds have the same.
type bomDocument struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     bomMetadata  `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type bomMetadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	Scope      string     `json:"scope,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	Licences   []terms    `json:"licenses,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

// terms names one licence, or an expression of several.
type terms struct {
	Licence    *licenceID `json:"license,omitempty"`
	Expression string     `json:"expression,omitempty"`
}

type licenceID struct {
	ID string `json:"id"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

func document(name, version string, programs []program, modules []linkedModule) bomDocument {
	root := component{Type: "application", Ref: name, Name: name, Version: version, Licences: termsOf("Apache-2.0"), PURL: "pkg:golang/github.com/tokenbridge/tokend@" + version}
	doc := bomDocument{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Version: 1,
		Metadata: bomMetadata{Component: root},
	}
	all := dependency{Ref: name}
	var parts []dependency
	var libraries []string
	for _, p := range programs {
		sum := sha256.Sum256(p.content)
		doc.Components = append(doc.Components, component{
			Type: "application", Ref: "program:" + p.name, Name: p.name, Version: version,
			Hashes:   []hash{{"SHA-256", hex.EncodeToString(sum[:])}},
			Licences: termsOf("Apache-2.0"),
			Properties: []property{
				{"tokend:go", p.goVersion}, {"tokend:os", p.system}, {"tokend:architecture", p.processor},
			},
		})
		all.DependsOn = append(all.DependsOn, "program:"+p.name)
		part := dependency{Ref: "program:" + p.name}
		for _, m := range p.modules {
			part.DependsOn = append(part.DependsOn, "pkg:golang/"+m)
		}
		part.DependsOn = append(part.DependsOn, "pkg:golang/std@"+p.goVersion)
		for _, l := range p.libraries {
			part.DependsOn = append(part.DependsOn, "library:"+l)
			libraries = append(libraries, l)
		}
		parts = append(parts, part)
	}
	for _, m := range modules {
		doc.Components = append(doc.Components, m.component())
	}
	slices.Sort(libraries)
	for _, l := range slices.Compact(libraries) {
		// The system's own: which version it is, the system knows.
		doc.Components = append(doc.Components, component{Type: "library", Ref: "library:" + l, Name: l, Scope: "required"})
	}
	doc.Dependencies = append([]dependency{all}, parts...)
	return doc
}

func (m linkedModule) component() component {
	purl := "pkg:golang/" + m.path + "@" + m.version
	c := component{Type: "library", Ref: purl, Name: m.path, Version: m.version, Scope: "required", Licences: termsOf(m.licence), PURL: purl}
	// go.sum's hash is of the module's files and their names.
	if b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.sum, "h1:")); err == nil && len(b) > 0 {
		c.Hashes = []hash{{"SHA-256", hex.EncodeToString(b)}}
	}
	return c
}

func termsOf(licence string) []terms {
	if strings.Contains(licence, " ") {
		return []terms{{Expression: licence}}
	}
	return []terms{{Licence: &licenceID{licence}}}
}
