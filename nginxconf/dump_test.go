package nginxconf

import (
	"fmt"
	"reflect"
	"strings"
)

// dump writes a model for people: without zero fields, with a place after each name. A
// Pass that was shown already is its place.
func dump(c *Config) string {
	d := dumper{seen: map[any]bool{}}
	d.fields(reflect.ValueOf(*c), 0)
	return d.b.String()
}

type dumper struct {
	b    strings.Builder
	seen map[any]bool
}

func (d *dumper) fields(v reflect.Value, depth int) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Name == "Place" || !f.IsExported() || v.Field(i).IsZero() {
			continue
		}
		if f.Anonymous && f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[Text]() {
			d.fields(v.Field(i), depth)
			continue
		}
		d.named(f.Name, v.Field(i), depth)
	}
}

func (d *dumper) named(name string, v reflect.Value, depth int) {
	indent := strings.Repeat("  ", depth)
	if name == "Types" && v.Len() > 3 {
		fmt.Fprintf(&d.b, "%s%s: %d extensions\n", indent, name, v.Len())
		return
	}
	if texts, ok := v.Interface().([]string); ok && name != "Files" {
		fmt.Fprintf(&d.b, "%s%s: %q\n", indent, name, texts)
		return
	}
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		if d.seen[v.Interface()] {
			fmt.Fprintf(&d.b, "%s%s: that of %s\n", indent, name, v.Elem().FieldByName("Place").Interface())
			return
		}
		d.seen[v.Interface()] = true
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			d.named(name, v.Index(i), depth)
		}
	case reflect.Struct:
		d.structure(name, v, depth)
	default:
		fmt.Fprintf(&d.b, "%s%s: %v\n", indent, name, v)
	}
}

func (d *dumper) structure(name string, v reflect.Value, depth int) {
	fmt.Fprintf(&d.b, "%s%s", strings.Repeat("  ", depth), name)
	at, ok := v.Interface().(Place)
	if !ok {
		at, _ = v.FieldByName("Place").Interface().(Place)
	}
	switch x := v.Interface().(type) {
	case Text:
		fmt.Fprintf(&d.b, ": %q", x.Value)
	case Duration:
		fmt.Fprintf(&d.b, ": %v", x.Value)
	case UpstreamServer:
		fmt.Fprintf(&d.b, ": %s", x.Text)
	case Block:
		fmt.Fprintf(&d.b, ": %s", x.Name)
	case Param:
		fmt.Fprintf(&d.b, ": %s %s if_not_empty=%v", x.Name, x.Value, x.IfNotEmpty)
		if !x.Set.IsZero() {
			fmt.Fprintf(&d.b, " set=%v", x.Set)
		}
	case ErrorPage:
		fmt.Fprintf(&d.b, ": %d keeps=%v changed=%d %s", x.Code, x.Keeps, x.Changed, x.Target)
	case Variable:
		fmt.Fprintf(&d.b, ": %s %s %q", x.Name, x.Kind, x.Value)
	case AddHeader:
		fmt.Fprintf(&d.b, ": %s: %q always=%v values=%q", x.Name, x.Value, x.Always, x.Values)
	case Place:
	default:
		if !at.IsZero() {
			fmt.Fprintf(&d.b, " (%s)", at)
		}
		d.b.WriteString("\n")
		d.fields(v, depth+1)
		return
	}
	if !at.IsZero() {
		fmt.Fprintf(&d.b, " (%s)", at)
	}
	d.b.WriteString("\n")
}
