package verify

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePostgres(t *testing.T) {
	tests := map[string]struct {
		text string
		want postgresString
	}{
		"URI": {
			text: "postgres://alice:pass@db.example:6543/orders?sslmode=verify-full",
			want: postgresString{endpoints: []endpoint{{"db.example", 6543}}, user: "alice", password: "pass", database: "orders", securities: []security{nameVerified}},
		},
		"defaults": {
			text: "postgresql://alice@db.example",
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "alice", database: "alice", securities: []security{encrypted, plain}},
		},
		"SQLAlchemy's": {
			text: "postgresql+psycopg2://alice@db.example/",
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "alice", database: "alice", securities: []security{encrypted, plain}},
		},
		"line break at the end": {
			text: "postgresql://alice:pass@db.example/orders\n",
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "alice", password: "pass", database: "orders", securities: []security{encrypted, plain}},
		},
		"special characters, encoded": {
			text: "postgres://al%40ice:p%3A%2F%40%25+%20%3F@db.example/or%2Fders",
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "al@ice", password: "p:/@%+ ?", database: "or/ders", securities: []security{encrypted, plain}},
		},
		"special characters that libpq takes as they are": {
			text: "postgres://alice:p?a#s:s&=@db.example/orders",
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "alice", password: "p?a#s:s&=", database: "orders", securities: []security{encrypted, plain}},
		},
		"list of hosts": {
			text: "postgres://alice@one.example:1,[2001:db8::1]:2,three.example/orders?target_session_attrs=read-write",
			want: postgresString{endpoints: []endpoint{{"one.example", 1}, {"2001:db8::1", 2}, {"three.example", 5432}}, user: "alice", database: "orders",
				securities: []security{encrypted, plain}, sessionAttrs: "read-write"},
		},
		"list of hosts without ports": {
			text: "postgres://alice@one.example,two.example/orders",
			want: postgresString{endpoints: []endpoint{{"one.example", 5432}, {"two.example", 5432}}, user: "alice", database: "orders", securities: []security{encrypted, plain}},
		},
		"all in parameters": {
			text: "postgres:///?host=db.example&port=6543&user=alice&password=pass&dbname=orders&sslmode=require",
			want: postgresString{endpoints: []endpoint{{"db.example", 6543}}, user: "alice", password: "pass", database: "orders", securities: []security{encrypted}},
		},
		"keywords": {
			text: `host=db.example port = 6543 user='alice' password='pass' dbname=orders sslmode=verify-ca`,
			want: postgresString{endpoints: []endpoint{{"db.example", 6543}}, user: "alice", password: "pass", database: "orders", securities: []security{chainVerified}},
		},
		"keywords with escapes": {
			text: `host=db.example user=al\ ice password='p\'a\\ss = word' dbname=`,
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "al ice", password: `p'a\ss = word`, database: "al ice", securities: []security{encrypted, plain}},
		},
		"keywords with a list, one port": {
			text: "host=one.example,two.example port=6543 user=alice",
			want: postgresString{endpoints: []endpoint{{"one.example", 6543}, {"two.example", 6543}}, user: "alice", database: "alice", securities: []security{encrypted, plain}},
		},
		"allow": {
			text: "host=db.example user=alice sslmode=allow",
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "alice", database: "alice", securities: []security{plain, encrypted}},
		},
		"disable": {
			text: "host=db.example user=alice sslmode=disable",
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "alice", database: "alice", securities: []security{plain}},
		},
		"JDBC's": {
			text: "postgres://alice@db.example/?ssl=true",
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "alice", database: "alice", securities: []security{encrypted}},
		},
		"system's authorities": {
			text: "postgres://alice@db.example/?sslrootcert=system",
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "alice", database: "alice", securities: []security{nameVerified}},
		},
		"direct TLS": {
			text: "postgres://alice@db.example/?sslnegotiation=direct&channel_binding=require",
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "alice", database: "alice", securities: []security{encrypted}, directTLS: true, channelBinding: "require"},
		},
		"what goes to the server": {
			text: "postgres://alice@db.example/?application_name=flow&options=endpoint%3Dcool-name&connect_timeout=5&pgbouncer=true",
			want: postgresString{endpoints: []endpoint{{"db.example", 5432}}, user: "alice", database: "alice", securities: []security{encrypted, plain},
				runtimeParams: map[string]string{"application_name": "flow", "options": "endpoint=cool-name"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parsePostgres(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want.runtimeParams == nil {
				tt.want.runtimeParams = map[string]string{}
			}
			if diff := cmp.Diff(&tt.want, got, cmp.AllowUnexported(postgresString{}, endpoint{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParsePostgresRefuses(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"empty":                     {"", "the value is no connection string"},
		"a word":                    {"secret-word", "the value is no connection string"},
		"another scheme":            {"https://alice:secret-word@db.example/?a=b", "the value is no connection string"},
		"JDBC":                      {"jdbc:postgresql://db.example/orders?user=alice&password=secret-word", "the value is no connection string"},
		"open quote":                {"host=db.example user=alice password='secret-word", "the value is no connection string"},
		"doubled quote":             {"host=db.example user=alice password='secret''word'", "the value is no connection string"},
		"no user":                   {"host=db.example", "the connection string names no user"},
		"no host":                   {"user=alice", "the connection string names no host"},
		"no host in a URI":          {"postgres:///orders?user=alice", "the connection string names no host"},
		"empty host of a list":      {"host=db.example,,other.example user=alice", "the connection string names no host"},
		"Unix socket":               {"host=/var/run/postgresql user=alice", "the connection string names a Unix socket"},
		"Unix socket in a URI":      {"postgres://alice@%2Fvar%2Frun%2Fpostgresql/orders", "the connection string names a Unix socket"},
		"Unix socket in a list":     {"host=db.example,/tmp user=alice", "the connection string names a Unix socket"},
		"abstract Unix socket":      {"host=@sock user=alice", "the connection string names a Unix socket"},
		"Unix socket as parameter":  {"postgres:///orders?user=alice&host=/tmp", "the connection string names a Unix socket"},
		"two hosts":                 {"postgres://alice@db.example/?host=127.0.0.1", "the connection string has an option twice"},
		"two databases":             {"host=db.example user=alice dbname=a database=b", "the connection string has an option twice"},
		"hostaddr":                  {"host=db.example hostaddr=127.0.0.1 user=alice", "the connection string's option hostaddr would connect to another address"},
		"sslkey":                    {"host=db.example user=alice sslkey=/secret-word", "the connection string's option sslkey reads a file"},
		"sslcert":                   {"host=db.example user=alice sslcert=/secret-word", "the connection string's option sslcert reads a file"},
		"sslrootcert":               {"postgres://alice@db.example/?sslrootcert=/etc/passwd", "the connection string's option sslrootcert reads a file"},
		"sslcrl":                    {"postgres://alice@db.example/?sslcrl=/etc/passwd", "the connection string's option sslcrl reads a file"},
		"passfile":                  {"host=db.example user=alice passfile=/secret-word", "the connection string's option passfile reads a file"},
		"service":                   {"host=db.example user=alice service=x", "the connection string's option service reads a file"},
		"servicefile":               {"host=db.example user=alice servicefile=x", "the connection string's option servicefile reads a file"},
		"Kerberos":                  {"host=db.example user=alice krbsrvname=x", "the connection string's option krbsrvname is for Kerberos"},
		"encoded name":              {"postgres://alice@db.example/?sslk%65y=x", "the connection string's option sslkey reads a file"},
		"unknown option":            {"host=db.example user=alice secret-word=x", "the connection string has an option that connection tests do not know"},
		"upper case":                {"host=db.example user=alice SSLKEY=x", "the connection string has an option that connection tests do not know"},
		"ssl=false":                 {"postgres://alice@db.example/?ssl=false", "the connection string has an option that connection tests do not know"},
		"sslmode":                   {"host=db.example user=alice sslmode=secret-word", "the connection string's sslmode is none of"},
		"weak system authorities":   {"host=db.example user=alice sslrootcert=system sslmode=require", "the connection string's sslrootcert=system asks for"},
		"direct TLS or none":        {"host=db.example user=alice sslnegotiation=direct sslmode=allow", "the connection string's sslnegotiation=direct asks for"},
		"session attributes":        {"host=db.example user=alice target_session_attrs=secret-word", "the connection string's target_session_attrs is not one"},
		"GSS encryption":            {"host=db.example user=alice gssencmode=require", "the connection string's gssencmode is not one"},
		"port":                      {"postgres://alice:secret-word@db.example:x/orders", "the connection string's port is no number"},
		"port 0":                    {"postgres://alice:secret-word@db.example:0/orders", "the connection string's port is no number"},
		"port too large":            {"postgres://alice:secret-word@db.example:65536/orders", "the connection string's port is no number"},
		"slash in the password":     {"postgres://alice:secret-word/x@db.example/orders", "the connection string is no URI: special"},
		"at sign in the password":   {"postgres://alice:secret-word@x@db.example/orders", "the connection string is no URI: special"},
		"percent in the password":   {"postgres://alice:secret-word%x@db.example/orders", "the connection string is no URI: a %"},
		"NUL":                       {"postgres://alice:secret-word%00@db.example/orders", "the connection string has a NUL"},
		"bracket":                   {"postgres://alice@[2001:db8::1/orders", "the connection string is no URI: an IPv6"},
		"text after the bracket":    {"postgres://alice@[2001:db8::1]x:5/orders", "the connection string is no URI: an IPv6"},
		"ports and hosts":           {"host=a.example,b.example port=1,2,3 user=alice", "the connection string lists another number of ports"},
		"many hosts":                {"user=alice host=" + strings.Repeat("a,", 8) + "a", "the connection string lists more than 8 hosts"},
		"the first of two problems": {"host=db.example user=alice sslkey=x hostaddr=x", "the connection string's option hostaddr"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parsePostgres(tt.text)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Fatalf("error %v, want %s…", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret-word") || strings.Contains(err.Error(), "db.example") {
				t.Errorf("error repeats the connection string: %v", err)
			}
		})
	}
}
