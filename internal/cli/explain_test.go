package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newServedFixture talks to an API server that answers with handler, through
// the real client.
func newServedFixture(t *testing.T, handler http.HandlerFunc) *fixture {
	t.Helper()
	f := newFixture(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	f.file("kubeconfig", strings.Replace(kubeconfig, clusterURL, server.URL, 1))
	f.env.NewClient = newClient
	return f
}

func answer(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprint(w, body)
}

func TestServerRefusalsAreExplained(t *testing.T) {
	tests := map[string]struct {
		code int
		body string
		want string
	}{
		"not logged in": {
			code: 401, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`,
			want: "listing UserSecrets: Unauthorized; the cluster does not accept your credentials: log in to it again",
		},
		"no right": {
			code: 403, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"usersecrets.usersecrets.dev is forbidden: User \"eve\" cannot list resource \"usersecrets\" in API group \"usersecrets.dev\" in the namespace \"alice\"","reason":"Forbidden","details":{"group":"usersecrets.dev","kind":"usersecrets"},"code":403}`,
			want: `listing UserSecrets: usersecrets.usersecrets.dev is forbidden: User "eve" cannot list resource "usersecrets" in API group "usersecrets.dev" in the namespace "alice"; name your own namespace with --namespace, or ask an administrator for the role usersecret-owner in this one`,
		},
		"no right to onboard": {
			code: 403, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"rolebindings.rbac.authorization.k8s.io \"usersecret-owner\" is forbidden: user \"eve\" (groups=[\"system:authenticated\"]) is attempting to grant RBAC permissions not currently held","reason":"Forbidden","details":{"name":"usersecret-owner","group":"rbac.authorization.k8s.io","kind":"rolebindings"},"code":403}`,
			want: `listing UserSecrets: rolebindings.rbac.authorization.k8s.io "usersecret-owner" is forbidden: user "eve" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held; ask an administrator for the ClusterRole usersecret-onboarder`,
		},
		"admission says what to do by itself": {
			code: 403, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"admission webhook \"x\" denied the request: \u001b[31mdo\nthis","reason":"Forbidden","code":403}`,
			want: `listing UserSecrets: admission webhook "x" denied the request:  [31mdo this`,
		},
		"no operator": {
			code: 404, body: "404 page not found",
			want: "listing UserSecrets: the server could not find the requested resource (get usersecrets.usersecrets.dev); ask an administrator whether the UserSecret operator is installed in this cluster",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newServedFixture(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, tt.code, tt.body) })
			wantRefusal(t, f.run("list"), tt.want)
		})
	}
}

// Who lacks a right is told which shipped role has it.
func TestMissingRightsAreExplained(t *testing.T) {
	tests := map[string]struct {
		args []string
		kind string
		want string
	}{
		"keys":             {[]string{"keys", "list"}, "encryptionkeys", "listing encryption keys: no: User \"eve\" cannot list it at the cluster scope; ask an administrator for the ClusterRole usersecret-key-admin"},
		"a new key":        {[]string{"keys", "rotate", "v2"}, "encryptionkeys", "creating EncryptionKey \"v2\": no: User \"eve\" cannot list it at the cluster scope; ask an administrator for the ClusterRole usersecret-key-admin"},
		"key material":     {[]string{"keys", "backup", "x.age"}, "secrets", "reading key material in namespace \"usersecrets-system\": no: User \"eve\" cannot list it at the cluster scope; ask an administrator for the Role usersecret-key-backup in the operator's namespace"},
		"every UserSecret": {[]string{"list", "-A"}, "usersecrets", "listing UserSecrets: no: User \"eve\" cannot list it at the cluster scope; leave --all-namespaces out, or ask an administrator for the ClusterRole usersecret-auditor"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := newServedFixture(t, func(w http.ResponseWriter, _ *http.Request) {
				answer(w, 403, fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no: User \"eve\" cannot list it at the cluster scope","reason":"Forbidden","details":{"kind":%q},"code":403}`, tt.kind))
			})
			wantRefusal(t, f.run(tt.args...), tt.want)
		})
	}
}

// Each command asks for what it needs at its path, and for nothing else.
func TestRequests(t *testing.T) {
	tests := map[string]struct {
		args []string
		want string
	}{
		"list":    {[]string{"list", "-l", "a=b"}, "GET /apis/usersecrets.dev/v1alpha1/namespaces/alice/usersecrets?labelSelector=a%3Db&limit=100"},
		"all":     {[]string{"list", "-A"}, "GET /apis/usersecrets.dev/v1alpha1/usersecrets?limit=100"},
		"seal":    {[]string{"seal", "openai", "--from-file=-"}, "GET /apis/usersecrets.dev/v1alpha1/namespaces/alice/sealingkeys/sealing-key"},
		"onboard": {[]string{"onboard", "bob", "--apply"}, "GET /api/v1/namespaces/bob"},
		"keys":    {[]string{"keys", "list"}, "GET /apis/usersecrets.dev/v1alpha1/encryptionkeys"},
		"rotate":  {[]string{"keys", "rotate", "v2"}, "POST /apis/usersecrets.dev/v1alpha1/encryptionkeys?fieldManager=kubectl-usersecret"},
		"rewrap":  {[]string{"keys", "rewrap-root"}, "GET /apis/usersecrets.dev/v1alpha1/encryptionkeys"},
		"backup":  {[]string{"keys", "backup", "x.age"}, "GET /api/v1/namespaces/usersecrets-system/secrets?labelSelector=usersecrets.dev%2Fkey-material"},
		"restore": {[]string{"keys", "restore", "x.age", "--operator-namespace=vault"}, "GET /api/v1/namespaces/vault/secrets?labelSelector=usersecrets.dev%2Fkey-material"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var asked []string
			f := newServedFixture(t, func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.Method+" "+r.URL.String())
				if agent := r.UserAgent(); agent != "kubectl-usersecret/v0.1.0" {
					t.Errorf("user agent: got %s, want kubectl-usersecret/v0.1.0", agent)
				}
				answer(w, 403, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Forbidden","code":403}`)
			})
			f.run(tt.args...)
			if diff := cmp.Diff([]string{tt.want}, asked); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImpersonation(t *testing.T) {
	var as string
	f := newServedFixture(t, func(w http.ResponseWriter, r *http.Request) {
		as = r.Header.Get("Impersonate-User")
		answer(w, 200, `{"kind":"UserSecretList","apiVersion":"usersecrets.dev/v1alpha1","items":[]}`)
	})
	if got := f.run("list", "--as", "bob"); got.Code != 0 || as != "bob" {
		t.Errorf("--as bob: got code %d as %q", got.Code, as)
	}
}

func TestServerWarningsAreShownOnce(t *testing.T) {
	f := newServedFixture(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Warning", `299 - "value does not match the pattern"`)
		w.Header().Add("Warning", `299 - "value does not match the pattern"`)
		answer(w, 200, `{"kind":"UserSecretList","apiVersion":"usersecrets.dev/v1alpha1","items":[]}`)
	})
	want := outcome{ErrOut: "Warning: value does not match the pattern\nNo UserSecrets found in alice namespace.\n"}
	if diff := cmp.Diff(want, f.run("list")); diff != "" {
		t.Errorf("a warning (-want +got):\n%s", diff)
	}
}

func TestUnreachableClusters(t *testing.T) {
	f := newFixture(t)
	f.env.NewClient = newClient
	got := f.run("list", "--server", "http://127.0.0.1:1")
	wantRefusal(t, got, `listing UserSecrets: Get "http://127.0.0.1:1/apis/usersecrets.dev/v1alpha1/namespaces/alice/usersecrets?limit=100": dial tcp 127.0.0.1:1: connect: connection refused; check --context, --kubeconfig and your connection to the cluster`)

	f = newOfflineFixture(t)
	for _, args := range [][]string{{"list"}, {"seal", "openai", "--from-file=-"}, {"onboard", "alice", "--apply"}} {
		wantRefusal(t, f.run(args...), "no cluster is configured: give --kubeconfig, or set KUBECONFIG; to seal without a cluster give --sealing-key")
	}
	if err := os.WriteFile(f.home+"/absent", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := f.run("list"); got.Code != 1 || !strings.HasSuffix(got.ErrOut, "; check --context and --kubeconfig\n") || strings.Count(got.ErrOut, "\n") != 1 {
		t.Errorf("a broken kubeconfig: got %+v, want one line with its remedy", got)
	}
}
