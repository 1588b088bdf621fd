package inject_test

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"usersecrets.dev/operator/internal/inject"
)

// FuzzParseList: what is accepted is written as a list that reads the same, and
// what is refused is refused without control characters.
func FuzzParseList(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		items, err := inject.ParseList(text)
		if err != nil {
			assertShowable(t, err, inject.ErrInject)
			return
		}
		if len(items) == 0 || len(items) > inject.MaxItems {
			t.Errorf("%d items", len(items))
		}
		again, err := inject.ParseList(formatList(items))
		if err != nil {
			t.Fatalf("%q is not read again: %v", formatList(items), err)
		}
		if diff := cmp.Diff(items, again); diff != "" {
			t.Errorf("items (-first +again):\n%s", diff)
		}
	})
}

// FuzzTTL: what is accepted lies within the limits and is written as a duration
// that reads the same.
func FuzzTTL(f *testing.F) {
	parse := func(text string, limits inject.Limits) (time.Duration, error) {
		req, err := inject.ParseRequest(makePod("ttl", text), limits)
		return req.TTL, err
	}
	f.Fuzz(func(t *testing.T, text string, most int64) {
		limits := inject.Limits{MaxTTL: time.Duration(most)}
		ttl, err := parse(text, limits)
		if err != nil {
			assertShowable(t, err, inject.ErrTTL)
			return
		}
		if ttl < inject.MinTTL || most > 0 && ttl > limits.MaxTTL {
			t.Errorf("%v, with a limit of %v", ttl, limits.MaxTTL)
		}
		if again, err := parse(ttl.String(), limits); err != nil || again != ttl {
			t.Errorf("%v is read again as %v, %v", ttl, again, err)
		}
	})
}

// FuzzMountPath: what is accepted is a path that the API server and container
// runtimes take, outside of the system's.
func FuzzMountPath(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		req, err := inject.ParseRequest(makePod("mount-path", text), inject.Limits{})
		if err != nil {
			assertShowable(t, err, inject.ErrMountPath)
			return
		}
		p := req.MountPath
		if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || len(p) > inject.MaxMountPathLength {
			t.Errorf("accepted %q", p)
		}
		if strings.Contains(p, ":") || !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl) {
			t.Errorf("accepted %q", p)
		}
		switch top, _, _ := strings.Cut(p[1:], "/"); top {
		case "proc", "sys", "dev", "..":
			t.Errorf("accepted %q", p)
		}
	})
}

// FuzzIdentify: whatever a pod carries, both names are short and printable, and
// cleaning them once more changes nothing.
func FuzzIdentify(f *testing.F) {
	identify := func(workflow, node, label string) (string, string) {
		return inject.Identify(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{
				"workflows.argoproj.io/workflow": label, "airflow_version": "3", "dag_id": label, "run_id": label,
			},
			Annotations: map[string]string{
				prefix + "workflow": workflow, prefix + "node": node, "workflows.argoproj.io/node-name": label,
			},
		}})
	}
	f.Fuzz(func(t *testing.T, workflow, node, label string) {
		w, n := identify(workflow, node, label)
		for _, text := range []string{w, n} {
			if !utf8.ValidString(text) || utf8.RuneCountInString(text) > inject.MaxIdentityLength {
				t.Errorf("%q is too long, or not UTF-8", text)
			}
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q does not print", text)
			}
		}
		if w2, n2 := identify(w, n, ""); w2 != w || n2 != n {
			t.Errorf("%q, %q becomes %q, %q", w, n, w2, n2)
		}
	})
}

// assertShowable: a refusal has the right class, and can be printed as it is.
func assertShowable(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v is not %v", err, want)
	}
	if text := err.Error(); !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("the refusal has control characters: %q", text)
	}
}

// A fuzzer whose seeds are gone would pass without testing anything.
func TestSeedsAreThere(t *testing.T) {
	for _, fuzzer := range []string{"FuzzParseList", "FuzzTTL", "FuzzMountPath", "FuzzIdentify", "FuzzKey"} {
		entries, err := os.ReadDir(filepath.Join("testdata", "fuzz", fuzzer))
		if err != nil || len(entries) < 5 {
			t.Errorf("%s has %d seeds (%v), want at least 5", fuzzer, len(entries), err)
		}
	}
}
