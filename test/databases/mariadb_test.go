//go:build linux

package databases_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	_ "github.com/go-sql-driver/mysql" // the administrator's connection

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
)

var mysqlEntry = &v1alpha1.ProviderType{Test: &v1alpha1.ProviderTest{MySQL: &v1alpha1.MySQLTest{}}}

// mariadbSetup runs as the server starts, a statement a line.
const mariadbSetup = `
CREATE DATABASE orders;
CREATE DATABASE closed;
CREATE USER alice@'127.0.0.1' IDENTIFIED BY 'canary p4ss:/@%?word';
CREATE USER tls_only@'127.0.0.1' IDENTIFIED BY 'canary p4ss:/@%?word' REQUIRE SSL;
CREATE USER locked@'127.0.0.1' IDENTIFIED BY 'canary p4ss:/@%?word' ACCOUNT LOCK;
CREATE USER admin@'127.0.0.1' IDENTIFIED BY 'admin';
GRANT ALL ON orders.* TO alice@'127.0.0.1', tls_only@'127.0.0.1', locked@'127.0.0.1';
GRANT ALL ON *.* TO admin@'127.0.0.1';
`

// startMariaDB returns the server's port.
func startMariaDB(t *testing.T, s servers, certificate, key string) (port int, stop func()) {
	t.Helper()
	port, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(s.work, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	mariadbd, share := s.program(t, "mariadbd"), filepath.Join(s.dir, "root", "usr", "share", "mysql")
	base := []string{"--no-defaults", "--basedir=" + filepath.Join(s.dir, "root", "usr"), "--lc-messages-dir=" + share,
		"--character-sets-dir=" + filepath.Join(share, "charsets"), "--datadir=" + data, "--tmpdir=" + s.work,
		"--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0"}
	// What mariadb-install-db gives the server to make its own tables.
	tables := "CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n"
	for _, file := range []string{"mysql_system_tables.sql", "mysql_system_tables_data.sql"} {
		content, err := os.ReadFile(filepath.Join(share, file))
		if err != nil {
			t.Fatal(err)
		}
		tables += string(content) + "\n"
	}
	s.run(t, tables, mariadbd, append(base, "--bootstrap", "--skip-networking")...)
	setup := s.write(t, "setup.sql", []byte(strings.TrimSpace(mariadbSetup)+"\n"))
	stop = s.start(t, mariadbd, append(base, "--port="+strconv.Itoa(port), "--bind-address=127.0.0.1",
		"--socket="+filepath.Join(s.work, "socket"), "--pid-file="+filepath.Join(s.work, "pid"), "--skip-name-resolve",
		"--init-file="+setup, "--ssl-cert="+certificate, "--ssl-key="+key)...)
	return port, stop
}

func TestMariaDB(t *testing.T) {
	s := findServers(t)
	authority, certificate, key := s.makeCertificate(t)
	port, stop := startMariaDB(t, s, certificate, key)
	by := makeTesters(authority)

	const (
		alice    = "mysql://alice:" + encodedPassword + "@" + serverName + ":PORT"
		answers  = "the server accepted the login and answered a query"
		wrong    = "the server does not accept the user name or the password"
		orTLS    = wrong + ", or asks this user for TLS"
		accepted = v1alpha1.ReasonAccepted
		rejected = v1alpha1.ReasonRejected
		away     = v1alpha1.ReasonUnreachable
		untested = v1alpha1.ReasonNotTestable
	)
	await(t, by.trusting, mysqlEntry, "mysql://alice:"+encodedPassword+"@127.0.0.1:"+strconv.Itoa(port)+"/orders")
	tests := map[string]check{
		"right password":              {alice + "/orders", by.trusting, accepted, answers},
		"without a database":          {alice, by.trusting, accepted, answers},
		"mariadb":                     {"mariadb" + strings.TrimPrefix(alice, "mysql") + "/orders", by.trusting, accepted, answers},
		"SQLAlchemy's":                {"mysql+pymysql" + strings.TrimPrefix(alice, "mysql") + "/orders?charset=utf8mb4", by.trusting, accepted, answers},
		"DSN":                         {"alice:canary p4ss:/@%?word@tcp(" + serverName + ":PORT)/orders?parseTime=true", by.trusting, accepted, answers},
		"without TLS":                 {alice + "/orders?ssl-mode=DISABLED", by.trusting, accepted, answers},
		"wrong password":              {"mysql://alice:canary-wrong@" + serverName + ":PORT/orders", by.trusting, rejected, wrong},
		"wrong password without TLS":  {"alice:canary-wrong@tcp(" + serverName + ":PORT)/orders", by.trusting, rejected, orTLS},
		"no password":                 {"mysql://alice@" + serverName + ":PORT/orders", by.trusting, rejected, wrong},
		"unknown user":                {"mysql://canary:" + encodedPassword + "@" + serverName + ":PORT/orders", by.trusting, rejected, wrong},
		"locked user":                 {"mysql://locked:" + encodedPassword + "@" + serverName + ":PORT/orders", by.trusting, rejected, "the server has locked this user's account"},
		"closed database":             {alice + "/closed", by.trusting, rejected, "the server does not let this user into this database"},
		"wrong database":              {"mysql://admin:admin@" + serverName + ":PORT/canary_nowhere", by.trusting, rejected, "the server has no database of this name"},
		"TLS required, none":          {"tls_only:canary p4ss:/@%?word@tcp(" + serverName + ":PORT)/orders", by.trusting, rejected, orTLS},
		"TLS required, required":      {"mysql://tls_only:" + encodedPassword + "@" + serverName + ":PORT/orders?ssl-mode=REQUIRED", by.trusting, accepted, answers},
		"TLS required, preferred":     {"mysql://tls_only:" + encodedPassword + "@" + serverName + ":PORT/orders", by.trusting, accepted, answers},
		"VERIFY_IDENTITY":             {alice + "/orders?ssl-mode=VERIFY_IDENTITY", by.trusting, accepted, answers},
		"tls=true":                    {"alice:canary p4ss:/@%?word@tcp(" + serverName + ":PORT)/orders?tls=true", by.trusting, accepted, answers},
		"tls=true, distrusted":        {"alice:canary p4ss:/@%?word@tcp(" + serverName + ":PORT)/orders?tls=true", by.distrusting, away, "the server cannot be trusted: its certificate is signed by an unknown authority"},
		"tls=skip-verify, distrusted": {"alice:canary p4ss:/@%?word@tcp(" + serverName + ":PORT)/orders?tls=skip-verify", by.distrusting, accepted, answers},
		"VERIFY_IDENTITY, other name": {"mysql://alice:" + encodedPassword + "@" + otherName + ":PORT/orders?ssl-mode=VERIFY_IDENTITY", by.trusting, away, "the server cannot be trusted: its certificate is for another name"},
		"VERIFY_CA, other name":       {"mysql://alice:" + encodedPassword + "@" + otherName + ":PORT/orders?ssl-mode=VERIFY_CA", by.trusting, accepted, answers},
		"VERIFY_CA, distrusted":       {alice + "/orders?ssl-mode=VERIFY_CA", by.distrusting, away, "the server cannot be trusted: its certificate is signed by an unknown authority"},
		"guarded":                     {"mysql://alice:" + encodedPassword + "@127.0.0.1:PORT/orders", by.guarded, untested, "the connection string names a loopback address, where connection tests may not go"},
		"unknown host":                {"mysql://alice:" + encodedPassword + "@nowhere.example:PORT/orders", by.trusting, away, "the server cannot be reached: its name is not known"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { tt.run(t, mysqlEntry, port) })
	}
	t.Run("server that requires TLS", func(t *testing.T) {
		requireTLS(t, port)
		// MySQL says what it asks for, in an error of its own; MariaDB does not.
		check{alice + "/orders?ssl-mode=DISABLED", by.trusting, rejected, orTLS}.run(t, mysqlEntry, port)
		check{alice + "/orders", by.trusting, accepted, answers}.run(t, mysqlEntry, port)
	})
	stop()
	t.Run("server down", func(t *testing.T) {
		check{alice + "/orders", by.trusting, away, "the server refused the connection"}.run(t, mysqlEntry, port)
	})
}

// requireTLS has the server take no connection without it.
func requireTLS(t *testing.T, port int) {
	t.Helper()
	db, err := sql.Open("mysql", "admin:admin@tcp(127.0.0.1:"+strconv.Itoa(port)+")/?tls=skip-verify")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(t.Context(), "SET GLOBAL require_secure_transport = ON"); err != nil {
		t.Fatal(err)
	}
}
