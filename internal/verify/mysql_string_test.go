package verify

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseMySQL(t *testing.T) {
	db := endpoint{"db.example", 3306}
	tests := map[string]struct {
		text string
		want mysqlString
	}{
		"URI": {
			text: "mysql://alice:pass@db.example:3307/orders?ssl-mode=VERIFY_IDENTITY",
			want: mysqlString{endpoint: endpoint{"db.example", 3307}, user: "alice", password: "pass", database: "orders", securities: []security{nameVerified}},
		},
		"defaults of a URI": {
			text: "mysql://alice@db.example",
			want: mysqlString{endpoint: db, user: "alice", securities: []security{encrypted, plain}},
		},
		"MariaDB's": {
			text: "mariadb://alice@db.example/orders\n",
			want: mysqlString{endpoint: db, user: "alice", database: "orders", securities: []security{encrypted, plain}},
		},
		"SQLAlchemy's": {
			text: "mysql+pymysql://alice@db.example/orders?charset=utf8mb4&ssl_mode=verify_ca",
			want: mysqlString{endpoint: db, user: "alice", database: "orders", securities: []security{chainVerified}},
		},
		"IPv6": {
			text: "mysql://alice@[2001:db8::1]:3307/orders?sslMode=DISABLED",
			want: mysqlString{endpoint: endpoint{"2001:db8::1", 3307}, user: "alice", database: "orders", securities: []security{plain}},
		},
		"special characters, encoded": {
			text: "mysql://alice:p%3A%2F%40%25+%20%3F%23@db.example/orders?ssl=true",
			want: mysqlString{endpoint: db, user: "alice", password: "p:/@%+ ?#", database: "orders", securities: []security{encrypted}},
		},
		"Prisma's": {
			text: "mysql://alice@db.example/orders?sslaccept=strict&connection_limit=5",
			want: mysqlString{endpoint: db, user: "alice", database: "orders", securities: []security{nameVerified}},
		},
		"DSN": {
			text: "alice:pass@tcp(db.example:3307)/orders?tls=true&parseTime=true&loc=Europe%2FVienna",
			want: mysqlString{endpoint: endpoint{"db.example", 3307}, user: "alice", password: "pass", database: "orders", securities: []security{nameVerified}},
		},
		"defaults of a DSN": {
			text: "alice@tcp(db.example)/",
			want: mysqlString{endpoint: db, user: "alice", securities: []security{plain}},
		},
		"DSN with special characters": {
			text: "alice:p:/@%?unix(x)@tcp([2001:db8::1]:3307)/or%2Fders?tls=skip-verify",
			want: mysqlString{endpoint: endpoint{"2001:db8::1", 3307}, user: "alice", password: "p:/@%?unix(x)", database: "or/ders", securities: []security{encrypted}},
		},
		"DSN, TLS preferred": {
			text: "alice@tcp(db.example)/?tls=preferred&allowNativePasswords=true",
			want: mysqlString{endpoint: db, user: "alice", securities: []security{encrypted, plain}},
		},
		"cleartext over TLS": {
			text: "alice@tcp(db.example)/?tls=true&allowCleartextPasswords=true",
			want: mysqlString{endpoint: db, user: "alice", securities: []security{nameVerified}, cleartext: true},
		},
		"no cleartext": {
			text: "alice@tcp(db.example)/?allowCleartextPasswords=false",
			want: mysqlString{endpoint: db, user: "alice", securities: []security{plain}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseMySQL(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&tt.want, got, cmp.AllowUnexported(mysqlString{}, endpoint{})); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseMySQLRefuses(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"empty":                   {"", "the value is no connection string"},
		"a word":                  {"secret-word", "the value is no connection string"},
		"JDBC":                    {"jdbc:mysql://db.example/secret-word?user=alice", "the value is no connection string"},
		"no network":              {"alice:secret-word@/orders", "the value is no connection string"},
		"open bracket":            {"alice:secret-word@tcp(db.example/orders", "the value is no connection string"},
		"database's name":         {"alice@tcp(db.example)/%zz", "the value is no connection string"},
		"no user":                 {"tcp(db.example)/orders", "the connection string names no user"},
		"no user in a URI":        {"mysql://db.example/orders", "the connection string names no user"},
		"no host":                 {"alice@tcp()/orders", "the connection string names no host"},
		"no host in a URI":        {"mysql://alice@/orders", "the connection string names no host"},
		"Unix socket":             {"alice@unix(/tmp/mysql.sock)/orders", "the connection string names a Unix socket"},
		"Unix socket, no user":    {"unix(/tmp/mysql.sock)/orders", "the connection string names a Unix socket"},
		"Unix socket as a host":   {"alice@tcp(/tmp/mysql.sock)/orders", "the connection string names a Unix socket"},
		"Unix socket in a URI":    {"mysql://alice@%2Ftmp%2Fmysql.sock/orders", "the connection string is no URI"},
		"Unix socket, option":     {"mysql://alice@db.example/?unix_socket=/tmp/x", "the connection string's option unixsocket names a Unix socket"},
		"own network":             {"alice:secret-word@cloudsql(db.example)/orders", "the connection string names a network of its own"},
		"allowAllFiles":           {"alice@tcp(db.example)/?allowAllFiles=true", "the connection string's option allowallfiles lets the server read files"},
		"local_infile":            {"mysql://alice@db.example/?local_infile=1", "the connection string's option localinfile lets the server read files"},
		"allowOldPasswords":       {"alice@tcp(db.example)/?allowOldPasswords=true", "the connection string's option allowoldpasswords sends the password"},
		"cleartext without TLS":   {"alice@tcp(db.example)/?allowCleartextPasswords=true", "the connection string's allowCleartextPasswords without TLS"},
		"cleartext, maybe TLS":    {"alice@tcp(db.example)/?allowCleartextPasswords=1&tls=preferred", "the connection string's allowCleartextPasswords without TLS"},
		"own TLS configuration":   {"alice@tcp(db.example)/?tls=secret-word", "the connection string's tls is not one"},
		"server's public key":     {"alice@tcp(db.example)/?serverPubKey=x", "the connection string's option serverpubkey names a key"},
		"authorities in a file":   {"mysql://alice@db.example/?ssl-ca=/etc/passwd", "the connection string's option sslca reads a file"},
		"defaults in a file":      {"mysql://alice@db.example/?read_default_file=/etc/passwd", "the connection string's option readdefaultfile reads a file"},
		"statement":               {"mysql://alice@db.example/?init_command=DROP", "the connection string's option initcommand runs a statement"},
		"system variable":         {"alice@tcp(db.example)/?secret-word=1", "the connection string has an option that connection tests do not know"},
		"two options for TLS":     {"mysql://alice@db.example/?ssl=true&tls=false", "the connection string has two options for TLS, tls and ssl"},
		"option twice":            {"mysql://alice@db.example/?ssl-mode=REQUIRED&sslMode=DISABLED", "the connection string has an option twice"},
		"ssl-mode":                {"mysql://alice@db.example/?ssl-mode=secret-word", "the connection string's sslmode is not one"},
		"option's encoding":       {"mysql://alice@db.example/?charset=%zz", "the connection string's options are not percent-encoded"},
		"list of hosts":           {"alice@tcp(a.example,db.example)/orders", "the connection string names more than one host"},
		"list of hosts in a URI":  {"mysql://alice@a.example,db.example/orders", "the connection string names more than one host"},
		"port":                    {"alice:secret-word@tcp(db.example:x)/orders", "the connection string's port is no number"},
		"hash in the password":    {"mysql://alice:secret-word#@db.example/orders", "the connection string is no URI: special"},
		"slash in the password":   {"mysql://alice:secret-word/@db.example/orders", "the connection string is no URI: special"},
		"percent in the password": {"mysql://alice:secret-word%@db.example/orders", "the connection string is no URI: special"},
		"NUL":                     {"mysql://alice:secret-word%00@db.example/orders", "the connection string has a NUL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parseMySQL(tt.text)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Fatalf("error %v, want %s…", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret-word") || strings.Contains(err.Error(), "db.example") {
				t.Errorf("error repeats the connection string: %v", err)
			}
		})
	}
}
