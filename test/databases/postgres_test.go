//go:build linux

package databases_test

import (
	"path/filepath"
	"strconv"
	"testing"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/test/lab"
)

var postgresEntry = &v1alpha1.ProviderType{Test: &v1alpha1.ProviderTest{Postgres: &v1alpha1.PostgresTest{}}}

// postgresRules let tls_only in over TLS alone, send_password by the password
// itself, and nobody else but those named.
const postgresRules = `
hostssl   all       tls_only       127.0.0.1/32 scram-sha-256
host      all       send_password  127.0.0.1/32 password
host      all       alice,outsider 127.0.0.1/32 scram-sha-256
host      all       unknown        127.0.0.1/32 scram-sha-256
hostnossl all       never_tls      127.0.0.1/32 scram-sha-256
`

const postgresSetup = `
CREATE ROLE alice LOGIN PASSWORD 'canary p4ss:/@%?word';
CREATE ROLE tls_only LOGIN PASSWORD 'canary p4ss:/@%?word';
CREATE ROLE never_tls LOGIN PASSWORD 'canary p4ss:/@%?word';
CREATE ROLE send_password LOGIN PASSWORD 'canary p4ss:/@%?word';
CREATE ROLE outsider LOGIN PASSWORD 'canary p4ss:/@%?word';
CREATE DATABASE orders;
CREATE DATABASE closed;
REVOKE CONNECT ON DATABASE closed FROM PUBLIC;
`

// startPostgres returns the server's port.
func startPostgres(t *testing.T, s servers, certificate, key string) (port int, stop func()) {
	t.Helper()
	port, err := lab.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(s.work, "data")
	postgres := s.program(t, "postgres")
	s.run(t, "", s.program(t, "initdb"), "--pgdata="+data, "--username=postgres", "--auth=reject", "--locale=C", "--encoding=UTF8", "--no-sync")
	s.run(t, postgresSetup, postgres, "--single", "-D", data, "postgres")
	rules := s.write(t, "pg_hba.conf", []byte(postgresRules))
	stop = s.start(t, postgres, "-D", data, "-c", "port="+strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "hba_file="+rules, "-c", "jit=off", "-c", "fsync=off",
		"-c", "ssl=on", "-c", "ssl_cert_file="+certificate, "-c", "ssl_key_file="+key)
	return port, stop
}

func TestPostgreSQL(t *testing.T) {
	s := findServers(t)
	authority, certificate, key := s.makeCertificate(t)
	port, stop := startPostgres(t, s, certificate, key)
	by := makeTesters(authority)

	const (
		alice    = "postgres://alice:" + encodedPassword + "@" + serverName + ":PORT"
		answers  = "the server accepted the login and answered a query"
		wrong    = "the server does not accept the user name or the password"
		noTLS    = "the server has no rule for connections without TLS like this one, and may ask for TLS: set sslmode=require"
		noRule   = "the server has no rule that lets this user into this database from here"
		accepted = v1alpha1.ReasonAccepted
		rejected = v1alpha1.ReasonRejected
		away     = v1alpha1.ReasonUnreachable
		untested = v1alpha1.ReasonNotTestable
	)
	await(t, by.trusting, postgresEntry, "postgres://alice:"+encodedPassword+"@127.0.0.1:"+strconv.Itoa(port)+"/orders")
	tests := map[string]check{
		"right password":              {alice + "/orders", by.trusting, accepted, answers},
		"keywords and values":         {"host=" + serverName + " port=PORT user=alice password='canary p4ss:/@%?word' dbname=orders", by.trusting, accepted, answers},
		"without TLS":                 {alice + "/orders?sslmode=disable", by.trusting, accepted, answers},
		"all options":                 {alice + "/orders?sslmode=require&application_name=flow&options=-c%20search_path%3Dpublic&connect_timeout=3&channel_binding=require", by.trusting, accepted, answers},
		"read-write":                  {alice + "/orders?target_session_attrs=read-write", by.trusting, accepted, answers},
		"primary":                     {alice + "/orders?target_session_attrs=primary", by.trusting, accepted, answers},
		"standby":                     {alice + "/orders?target_session_attrs=standby", by.trusting, away, "no server that the connection string lists is what its target_session_attrs asks for"},
		"second of a list":            {"host=unknown.example," + serverName + " port=1,PORT user=alice password='canary p4ss:/@%?word' dbname=orders", by.trusting, accepted, answers},
		"wrong password":              {"postgres://alice:canary-wrong@" + serverName + ":PORT/orders", by.trusting, rejected, wrong},
		"no password":                 {"postgres://alice@" + serverName + ":PORT/orders", by.trusting, rejected, wrong},
		"unknown user":                {"postgres://unknown:" + encodedPassword + "@" + serverName + ":PORT/orders", by.trusting, rejected, wrong},
		"user without a rule":         {"postgres://canary:" + encodedPassword + "@" + serverName + ":PORT/orders?sslmode=require", by.trusting, rejected, noRule},
		"wrong database":              {alice + "/canary_nowhere", by.trusting, rejected, "the server has no database of this name"},
		"closed database":             {"postgres://outsider:" + encodedPassword + "@" + serverName + ":PORT/closed", by.trusting, rejected, "the server does not let this user into this database"},
		"TLS required, none":          {"postgres://tls_only:" + encodedPassword + "@" + serverName + ":PORT/orders?sslmode=disable", by.trusting, away, noTLS},
		"TLS required, required":      {"postgres://tls_only:" + encodedPassword + "@" + serverName + ":PORT/orders?sslmode=require", by.trusting, accepted, answers},
		"TLS required, preferred":     {"postgres://tls_only:" + encodedPassword + "@" + serverName + ":PORT/orders", by.trusting, accepted, answers},
		"TLS required, allowed":       {"postgres://tls_only:" + encodedPassword + "@" + serverName + ":PORT/orders?sslmode=allow", by.trusting, accepted, answers},
		"TLS forbidden, preferred":    {"postgres://never_tls:" + encodedPassword + "@" + serverName + ":PORT/orders", by.trusting, accepted, answers},
		"verify-full":                 {alice + "/orders?sslmode=verify-full", by.trusting, accepted, answers},
		"verify-full, system's":       {alice + "/orders?sslrootcert=system", by.trusting, accepted, answers},
		"verify-full, another name":   {"postgres://alice:" + encodedPassword + "@" + otherName + ":PORT/orders?sslmode=verify-full", by.trusting, away, "the server cannot be trusted: its certificate is for another name"},
		"verify-full, distrusted":     {alice + "/orders?sslmode=verify-full", by.distrusting, away, "the server cannot be trusted: its certificate is signed by an unknown authority"},
		"verify-ca, another name":     {"postgres://alice:" + encodedPassword + "@" + otherName + ":PORT/orders?sslmode=verify-ca", by.trusting, accepted, answers},
		"verify-ca, distrusted":       {alice + "/orders?sslmode=verify-ca", by.distrusting, away, "the server cannot be trusted: its certificate is signed by an unknown authority"},
		"require, distrusted":         {alice + "/orders?sslmode=require", by.distrusting, accepted, answers},
		"password itself over TLS":    {"postgres://send_password:" + encodedPassword + "@" + serverName + ":PORT/orders?sslmode=require", by.trusting, accepted, answers},
		"password itself without TLS": {"postgres://send_password:" + encodedPassword + "@" + serverName + ":PORT/orders?sslmode=disable", by.trusting, untested, "the server asks for the password itself, which connection tests send over TLS alone: set sslmode=require or a stronger one"},
		"guarded":                     {"postgres://alice:" + encodedPassword + "@127.0.0.1:PORT/orders", by.guarded, untested, "the connection string names a loopback address, where connection tests may not go"},
		"unknown host":                {"postgres://alice:" + encodedPassword + "@nowhere.example:PORT/orders", by.trusting, away, "the server cannot be reached: its name is not known"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { tt.run(t, postgresEntry, port) })
	}
	stop()
	t.Run("server down", func(t *testing.T) {
		check{alice + "/orders", by.trusting, away, "the server refused the connection"}.run(t, postgresEntry, port)
	})
}
