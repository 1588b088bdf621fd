package api_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"usersecrets.dev/operator/api/v1alpha1"
)

// fields is an object, or a part of one, as its JSON has it.
type fields = map[string]any

// list is a JSON array.
type list = []any

// absent takes a field away where put is given it.
var absent = struct{}{}

func object(kind, namespace, name string, content fields) *unstructured.Unstructured {
	GinkgoHelper()
	text, err := json.Marshal(content)
	Expect(err).NotTo(HaveOccurred())
	o := &unstructured.Unstructured{Object: fields{}}
	Expect(json.Unmarshal(text, &o.Object)).To(Succeed()) // a copy, with JSON's own types
	o.SetAPIVersion(v1alpha1.GroupVersion.String())
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

// userSecret is a sealed one with the required fields alone; nothing here opens it.
func userSecret(namespace string) *unstructured.Unstructured {
	return object("UserSecret", namespace, unique("secret"), fields{"spec": fields{
		"provider": "openai", "type": "api_key", "encryptedValue": "us1.v1-3f9a2c1b.AAAA",
	}})
}

// secretProvider has one type, and a test of it, with the required fields alone.
func secretProvider(string) *unstructured.Unstructured {
	return object("SecretProvider", "", unique("provider"), fields{"spec": fields{
		"displayName": "Weather", "category": "Integration",
		"types": list{fields{
			"type": "api_key", "key": "WEATHER_API_KEY",
			"test": fields{"http": fields{
				"url": "https://weather.example.com/v1/me", "headers": list{fields{"name": "X-Key", "value": "{{value}}"}},
			}},
		}},
	}})
}

func encryptionKey(string) *unstructured.Unstructured {
	return object("EncryptionKey", "", unique("v"), fields{})
}

// publicKey is as long as a real one.
var publicKey = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 1216))

func sealingKey(namespace string) *unstructured.Unstructured {
	return object("SealingKey", namespace, v1alpha1.SealingKeyName, fields{"spec": fields{
		"owner": "alice", "keyID": "v1-3f9a2c1b", "publicKey": publicKey, "fingerprint": "SHA256:fingerprint",
	}})
}

// condition is one of a status, complete.
func condition(kind string) fields {
	return fields{
		"type": kind, "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z",
	}
}

// access is one of a UserSecret's recentAccesses, with the required fields alone.
func access() fields {
	return fields{"time": "2026-01-02T03:04:05.000001Z", "type": "use"}
}

// times is a list of n elements.
func times(n int, element func(i int) any) list {
	elements := list{}
	for i := range n {
		elements = append(elements, element(i))
	}
	return elements
}

func long(n int) string { return strings.Repeat("a", n) }

var index = regexp.MustCompile(`\[(\d+)\]`)

// put sets the field at path, written as the API server writes it (spec.types[0].key), or takes it away.
func put(o *unstructured.Unstructured, path string, value any) {
	GinkgoHelper()
	steps := strings.Split(index.ReplaceAllString(path, ".$1"), ".")
	last := steps[len(steps)-1]
	parent := any(o.Object)
	for _, step := range steps[:len(steps)-1] {
		parent = member(parent, step)
	}
	switch p := parent.(type) {
	case fields:
		if value == absent {
			delete(p, last)
		} else {
			p[last] = plain(value)
		}
	case list:
		i, err := strconv.Atoi(last)
		Expect(err).NotTo(HaveOccurred())
		p[i] = plain(value)
	default:
		Fail("no such field: " + path)
	}
}

// member returns one, and makes an object where an object has none.
func member(parent any, step string) any {
	switch p := parent.(type) {
	case fields:
		if p[step] == nil {
			p[step] = fields{}
		}
		return p[step]
	case list:
		i, err := strconv.Atoi(step)
		Expect(err).NotTo(HaveOccurred())
		return p[i]
	default:
		Fail(fmt.Sprintf("%s is in no object and no list", step))
		return nil
	}
}

// plain gives a value the types that JSON is decoded to, and no part that is shared.
func plain(value any) any {
	text, err := json.Marshal(value)
	Expect(err).NotTo(HaveOccurred())
	decoded := &unstructured.Unstructured{}
	Expect(decoded.UnmarshalJSON(fmt.Appendf(nil, `{"kind":"plain","value":%s}`, text))).To(Succeed())
	return decoded.Object["value"]
}

// at reads the field at path, nil where there is none.
func at(o *unstructured.Unstructured, path string) any {
	value := any(o.Object)
	for step := range strings.SplitSeq(index.ReplaceAllString(path, ".$1"), ".") {
		switch v := value.(type) {
		case fields:
			value = v[step]
		case list:
			i, err := strconv.Atoi(step)
			Expect(err).NotTo(HaveOccurred())
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// twoBytes are n characters of two bytes each in UTF-8: bounds count characters.
func twoBytes(n int) string { return strings.Repeat("é", n) }

func without(name string, all []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(each string) bool { return each == name })
}
