package inject_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// place is a string field somewhere below a Pod's spec that could name a Secret.
type place []reflect.StructField

// candidates walks the types below PodSpec. A field could name a Secret where
// it is
//   - a string whose own name, or whose struct's name, speaks of a Secret, or
//   - the name in any of the reference types, whatever they are used for.
func candidates(t *testing.T) []place {
	t.Helper()
	spec, _ := reflect.TypeFor[corev1.Pod]().FieldByName("Spec")
	var found []place
	walk(t, place{spec}, nil, &found)
	if len(found) == 0 {
		t.Fatal("the walk found nothing")
	}
	return found
}

func walk(t *testing.T, at place, stack []reflect.Type, found *[]place) {
	t.Helper()
	typ := element(at[len(at)-1].Type)
	if typ.Kind() != reflect.Struct || slices.Contains(stack, typ) {
		return
	}
	stack = append(slices.Clone(stack), typ)
	before := len(*found)
	for i := range typ.NumField() {
		field := typ.Field(i)
		if !field.IsExported() {
			continue
		}
		here := append(slices.Clone(at), field)
		switch element(field.Type).Kind() {
		case reflect.String:
			if namesSecret(typ, field) {
				*found = append(*found, here)
			}
		default:
			walk(t, here, stack, found)
		}
	}
	if speaks := speaksOfSecret(typ.Name()) || speaksOfSecret(at[len(at)-1].Name); speaks && len(*found) == before {
		t.Errorf("%s of type %s speaks of a Secret, and the walk sees no name in it", at.path(), typ)
	}
}

func namesSecret(owner reflect.Type, field reflect.StructField) bool {
	if strings.HasSuffix(owner.Name(), "Reference") {
		return field.Name == "Name"
	}
	return speaksOfSecret(field.Name)
}

func speaksOfSecret(name string) bool {
	return strings.Contains(strings.ToLower(name), "secret")
}

// element is the type below pointers, slices and maps.
func element(typ reflect.Type) reflect.Type {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
		typ = typ.Elem()
	}
	return typ
}

// path is the field's path in JSON, with the first element of each list.
func (p place) path() string {
	var b strings.Builder
	for _, field := range p {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			continue // inlined
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(name)
		if field.Type.Kind() == reflect.Slice {
			b.WriteString("[0]")
		}
	}
	return b.String()
}

// set writes the name into this one field of the pod, and makes what lies on
// the way there.
func (p place) set(t *testing.T, pod *corev1.Pod, name string) {
	t.Helper()
	v := reflect.ValueOf(pod).Elem()
	for _, field := range p {
		v = v.FieldByIndex(field.Index)
		for v.Kind() != reflect.Struct && v.Kind() != reflect.String {
			switch v.Kind() {
			case reflect.Pointer:
				v.Set(reflect.New(v.Type().Elem()))
				v = v.Elem()
			case reflect.Slice:
				v.Set(reflect.MakeSlice(v.Type(), 1, 1))
				v = v.Index(0)
			default:
				t.Fatalf("%s lies in a %s: teach place.set to reach it", p.path(), v.Kind())
			}
		}
	}
	v.SetString(name)
}
