package catalogue_test

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/yaml"

	"usersecrets.dev/operator/api/v1alpha1"
)

// answer is what a provider documents that it answers.
type answer struct {
	// What is what the provider answers to.
	What    string            `json:"what"`
	Code    int               `json:"code"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// fixture is what a provider documents of the call that a test makes.
type fixture struct {
	// Request is what the call must look like; the placeholders of the catalogue
	// stand for the value.
	Request struct {
		Method  string            `json:"method"` // GET where it is empty
		URL     string            `json:"url"`
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	} `json:"request"`
	// Accepted and Rejected are the answers that tell a good value from a bad one,
	// Unreachable are answers that say neither.
	Accepted    []answer `json:"accepted"`
	Rejected    []answer `json:"rejected"`
	Unreachable []answer `json:"unreachable"`
}

// subject is a test over HTTP, and what its provider documents.
type subject struct {
	fixture
	name  string // provider/type
	entry *v1alpha1.ProviderType
}

// subjects are all tests over HTTP of the catalogue. One without a fixture, and a
// fixture without a test, is an error.
func subjects(t *testing.T) []subject {
	t.Helper()
	documented, err := fixtures()
	if err != nil {
		t.Fatal(err)
	}
	left := maps.Clone(documented)
	var all []subject
	for _, file := range load(t) {
		for i := range file.Provider.Spec.Types {
			entry := &file.Provider.Spec.Types[i]
			if entry.Test == nil || entry.Test.HTTP == nil {
				continue
			}
			name := file.Provider.Name + "/" + string(entry.Type)
			f, ok := left[name]
			if !ok {
				t.Errorf("testdata has no answers for the test of %s", name)
				continue
			}
			delete(left, name)
			if len(f.Accepted) == 0 || len(f.Rejected) == 0 {
				t.Errorf("testdata has no answer to a good value, or none to a bad one, of %s", name)
				continue
			}
			all = append(all, subject{fixture: f, name: name, entry: entry})
		}
	}
	for name := range left {
		t.Errorf("testdata has answers for %s, which has no test over HTTP", name)
	}
	if len(all) == 0 {
		t.Fatal("the catalogue has no tests over HTTP")
	}
	return all
}

// fixtures are those of testdata, by provider/type. Each file says first which page
// documents the answers.
var fixtures = sync.OnceValues(func() (map[string]fixture, error) {
	paths, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil {
		return nil, err
	}
	all := map[string]fixture{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(string(text), "# https://") {
			return nil, fmt.Errorf("%s does not start with the page that documents the answers", path)
		}
		var byType map[string]fixture
		if err := yaml.UnmarshalStrict(text, &byType); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		for secretType, f := range byType {
			all[strings.TrimSuffix(filepath.Base(path), ".yaml")+"/"+secretType] = f
		}
	}
	return all, nil
})

// fill puts a value where the placeholders of a fixture stand.
func fill(template, value string) string {
	filled := strings.ReplaceAll(template, "{{value.base64}}", base64.StdEncoding.EncodeToString([]byte(value)))
	return strings.ReplaceAll(filled, "{{value}}", value)
}

// differences are what a request lacks of what the provider demands of one with
// this value.
func (f *fixture) differences(r *http.Request, body, value string) []string {
	var out []string
	check := func(what, got, want string) {
		if got != want {
			out = append(out, what+" is "+got+", want "+want)
		}
	}
	target, err := url.Parse(fill(f.Request.URL, value))
	if err != nil {
		return []string{err.Error()}
	}
	check("the method", r.Method, cmp.Or(f.Request.Method, http.MethodGet))
	check("the host", r.Host, target.Host)
	check("the path", r.URL.Path, target.Path)
	check("the query", r.URL.RawQuery, target.RawQuery)
	check("the body", body, fill(f.Request.Body, value))
	for _, name := range []string{"Authorization", "Cookie", "Referer"} {
		if _, demanded := f.Request.Headers[name]; !demanded {
			check("the header "+name, r.Header.Get(name), "")
		}
	}
	for name, want := range f.Request.Headers {
		check("the header "+name, r.Header.Get(name), fill(want, value))
	}
	slices.Sort(out)
	return out
}
