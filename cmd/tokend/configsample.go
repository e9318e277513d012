package main

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

// writeSample writes a configuration that says the defaults, with every setting
// explained as it is on a system (GOOS).
func writeSample(w io.Writer, system string) error {
	texts, reload := ownTexts(system)
	var b strings.Builder
	b.WriteString("# The configuration of tokend. What is commented out is as it is without this file.\n" +
		"# What is marked (reload) changes when tokend is told to read this file again\n" +
		"# (" + reload + "), all else at the next start.\n")
	sampleTable(&b, "", reflect.ValueOf(defaultConfig()), texts)
	_, err := io.WriteString(w, b.String())
	return err
}

// sampleTable writes a table's own settings first, then its tables.
func sampleTable(b *strings.Builder, table string, v reflect.Value, texts map[string]string) {
	for _, tables := range []bool{false, true} {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if (f.Type.Kind() == reflect.Struct) != tables {
				continue
			}
			name := f.Tag.Get("toml")
			doc := cmp.Or(texts[strings.TrimPrefix(table+"."+name, ".")], f.Tag.Get("doc"))
			if f.Tag.Get("reload") != "" {
				doc += " (reload)"
			}
			fmt.Fprintf(b, "\n# %s\n", strings.ReplaceAll(doc, "\n", "\n# "))
			if tables {
				fmt.Fprintf(b, "[%s]\n", strings.TrimPrefix(table+"."+name, "."))
				sampleTable(b, name, v.Field(i), texts)
				continue
			}
			fmt.Fprintf(b, "#%s = %s\n", name, sampleValue(v.Field(i).Interface()))
		}
	}
}

func sampleValue(v any) string {
	switch v := v.(type) {
	case bool:
		return fmt.Sprint(v)
	case duration:
		s := time.Duration(v).String() // "10m0s"
		if strings.HasSuffix(s, "m0s") {
			s = strings.TrimSuffix(s, "0s")
		}
		if strings.HasSuffix(s, "h0m") {
			s = strings.TrimSuffix(s, "0m")
		}
		return fmt.Sprintf("%q", s)
	case []string:
		quoted := make([]string, len(v))
		for i, one := range v {
			quoted[i] = fmt.Sprintf("%q", one)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	default:
		return fmt.Sprintf("%q", v)
	}
}
