package verify

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"usersecrets.dev/operator/internal/dialing"
)

// FuzzConnectionStrings: whatever a value says, a string that is not refused names
// a user and hosts that are no sockets, and a refusal is in this package's words.
func FuzzConnectionStrings(f *testing.F) {
	for _, seed := range []string{
		"postgres://alice:p%40ss@one.example:1,[2001:db8::1]:2/orders?sslmode=require&options=-c%20a%3Db",
		`host='one.example,two' port=5432 user=al\ ice password='p\'a' sslrootcert=system`,
		"host=/tmp user=alice", "host=2130706433 user=alice", "postgres://alice@%2Ftmp/?host=127.0.0.1",
		"mysql://alice:p%40ss@[::1]:3306/orders?ssl-mode=VERIFY_CA", "alice:p@ss/w:rd@tcp(db.example:3306)/orders?tls=preferred",
		"alice@unix(/tmp/mysql.sock)/", "alice@tcp(127.0.0.1)/?allowAllFiles=true",
	} {
		f.Add(seed)
	}
	guard := dialing.NewGuard(nil, nil).WithResolver(&lookup{answers: map[string]string{}})
	f.Fuzz(func(t *testing.T, text string) {
		var endpoints []endpoint
		var user string
		p, err := parsePostgres(text)
		if err == nil {
			endpoints, user = p.endpoints, p.user
			if len(endpoints) == 0 || len(endpoints) > maxHosts || len(p.securities) == 0 {
				t.Fatalf("%d hosts, %d securities", len(endpoints), len(p.securities))
			}
		}
		checkFuzzed(t, guard, err, endpoints, user)
		m, err := parseMySQL(text)
		endpoints, user = nil, ""
		if err == nil {
			endpoints, user = []endpoint{m.endpoint}, m.user
			if m.cleartext && m.securities[len(m.securities)-1] == plain {
				t.Fatal("the password itself without TLS")
			}
		}
		checkFuzzed(t, guard, err, endpoints, user)
	})
}

func checkFuzzed(t *testing.T, guard *dialing.Guard, err error, endpoints []endpoint, user string) {
	t.Helper()
	if err != nil {
		var refused unusable
		if !errors.As(err, &refused) {
			t.Fatalf("error %T is not of this package", err)
		}
		return
	}
	if user == "" {
		t.Fatal("no user")
	}
	for _, e := range endpoints {
		if e.host == "" || e.port == 0 || strings.ContainsAny(e.host, `/\@,`) {
			t.Fatalf("endpoint %q %d", e.host, e.port)
		}
		addrs, err := guard.Resolve(t.Context(), e.host)
		if err == nil && (addrs[0].IsLoopback() || addrs[0] == netip.IPv4Unspecified()) {
			t.Fatalf("%q is connected to at %s", e.host, addrs[0])
		}
	}
}
