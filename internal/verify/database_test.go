package verify

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"usersecrets.dev/operator/api/v1alpha1"
	"usersecrets.dev/operator/internal/dialing"
	"usersecrets.dev/operator/internal/secretvalue"
)

// database is a server of the tests' own on a loopback address. It answers every
// connection with talk, and keeps what it was sent.
type database struct {
	address string

	mu          sync.Mutex
	connections int
	received    bytes.Buffer
	sent        int
}

func serveDatabase(t *testing.T, talk func(net.Conn)) *database {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &database{address: listener.Addr().String()}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			d.mu.Lock()
			d.connections++
			d.mu.Unlock()
			running.Go(func() {
				defer func() { _ = conn.Close() }()
				talk(&recorded{Conn: conn, database: d})
			})
		}
	})
	return d
}

// recorded is a connection of a database.
type recorded struct {
	net.Conn
	database *database
}

func (r *recorded) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.database.mu.Lock()
	defer r.database.mu.Unlock()
	r.database.received.Write(p[:n])
	return n, err
}

func (r *recorded) Write(p []byte) (int, error) {
	n, err := r.Conn.Write(p)
	r.database.mu.Lock()
	defer r.database.mu.Unlock()
	r.database.sent += n
	return n, err
}

func (d *database) seen() (received string, connections, sent int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.received.String(), d.connections, d.sent
}

// password is the secret part of the tests' connection strings.
const password = "canary-p4ssw0rd"

func (d *database) postgres(options string) secretvalue.Value {
	return secretvalue.FromString("postgres://alice:" + password + "@" + d.address + "/orders?" + options)
}

func (d *database) mysql(options string) secretvalue.Value {
	return secretvalue.FromString("mysql://alice:" + password + "@" + d.address + "/orders?" + options)
}

// onLoopback is a Tester that may reach the tests' servers.
func onLoopback(timeout time.Duration) *Tester {
	return New(Options{Timeout: timeout, Destinations: dialing.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil)})
}

var (
	postgresEntry = &v1alpha1.ProviderType{Test: &v1alpha1.ProviderTest{Postgres: &v1alpha1.PostgresTest{}}}
	mysqlEntry    = &v1alpha1.ProviderType{Test: &v1alpha1.ProviderTest{MySQL: &v1alpha1.MySQLTest{}}}
)

// wantResult also fails where the message repeats a part of the connection string.
func wantResult(t *testing.T, got Result, reason, message string) {
	t.Helper()
	if got.Reason != reason || got.Message != message {
		t.Errorf("got %s %q, want %s %q", got.Reason, got.Message, reason, message)
	}
	for _, part := range []string{password, "alice", "orders", "127.0.0", "169.254", "db.example"} {
		if strings.Contains(got.Message, part) {
			t.Errorf("the message %q repeats %q", got.Message, part)
		}
	}
}

// message is one of PostgreSQL's protocol, version 3.
func message(kind byte, body string) []byte {
	b := append([]byte{kind}, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(b[1:], uint32(4+len(body)))
	return append(b, body...)
}

func postgresError(code, text string) []byte {
	return message('E', "SFATAL\x00VFATAL\x00C"+code+"\x00M"+text+"\x00\x00")
}

const (
	askPassword = "\x00\x00\x00\x03" // AuthenticationCleartextPassword
	authOK      = "\x00\x00\x00\x00"
)

// packet is one of MySQL's protocol.
func packet(sequence byte, body string) []byte {
	return append([]byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), sequence}, body...)
}

const (
	// greeting is a handshake of protocol 4.1 with plugins and without TLS.
	greeting = "\x0a8.4.0\x00\x01\x00\x00\x00abcdefgh\x00\x08\x82\x21\x02\x00\x08\x00\x15" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00ijklmnopqrst\x00mysql_native_password\x00"
	okPacket = "\x00\x00\x00\x02\x00\x00\x00"
)

func mysqlError(number uint16, text string) string {
	return string([]byte{0xff, byte(number), byte(number >> 8)}) + "#28000" + text
}

// reply answers what comes with one message, and says whether it could.
func reply(conn net.Conn, message []byte) bool {
	if _, err := conn.Read(make([]byte, 64<<10)); err != nil {
		return false
	}
	_, err := conn.Write(message)
	return err == nil
}

// say answers what comes with one message each, and then waits for the end.
func say(answers ...[]byte) func(net.Conn) {
	return func(conn net.Conn) {
		for _, message := range answers {
			if !reply(conn, message) {
				return
			}
		}
		_, _ = io.Copy(io.Discard, conn)
	}
}

// greet speaks first, and then as say.
func greet(answers ...[]byte) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := conn.Write(packet(0, greeting)); err == nil {
			say(answers...)(conn)
		}
	}
}

// flood sends b until the other side has had enough, or 1 GiB.
func flood(b []byte) func(net.Conn) {
	return func(conn net.Conn) {
		block := bytes.Repeat(b, 1+64<<10/len(b))
		for sent := 0; sent < 1<<30; sent += len(block) {
			if _, err := conn.Write(block); err != nil {
				return
			}
		}
	}
}

// drip sends b a byte at a time.
func drip(b []byte) func(net.Conn) {
	return func(conn net.Conn) {
		for _, c := range b {
			if _, err := conn.Write([]byte{c}); err != nil {
				return
			}
			time.Sleep(25 * time.Millisecond)
		}
	}
}

func TestHostileDatabases(t *testing.T) {
	const (
		timeout = 700 * time.Millisecond
		noTLS   = "sslmode=disable"
		slow    = "the server did not answer within 700ms"
		much    = "the server sent more than the answer to a login"
		itself  = "the server answered with an error of its own"
		echo    = "FATAL: postgres://alice:" + password + "@127.0.0.1/orders"
	)
	const hard = "the server asks for a login of more than 999999 SCRAM iterations"
	scram := message('R', "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00")
	login := [][]byte{packet(2, okPacket), packet(1, okPacket)}
	tests := map[string]struct {
		talk                   func(net.Conn)
		options                string
		mysql                  bool
		wantReason, wantResult string
	}{
		"PostgreSQL, silence":               {talk: say(), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: slow},
		"PostgreSQL, silence on TLS":        {talk: say([]byte("S")), options: "sslmode=require", wantReason: v1alpha1.ReasonUnreachable, wantResult: slow},
		"PostgreSQL, a byte at a time":      {talk: drip(message('N', strings.Repeat("x", 999))), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: slow},
		"PostgreSQL, 1 GiB of notices":      {talk: flood(message('N', "SNOTICE\x00Mx\x00\x00")), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: much},
		"PostgreSQL, 1 GiB of noise":        {talk: flood([]byte("noise")), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: much},
		"PostgreSQL, a message of 1 GiB":    {talk: say([]byte("E\x40\x00\x00\x00")), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: much},
		"PostgreSQL, echo":                  {talk: say(postgresError("XX000", echo)), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: itself},
		"PostgreSQL, echo in the code":      {talk: say(postgresError(password, echo)), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: itself},
		"PostgreSQL, echo of a wrong login": {talk: say(postgresError("28P01", echo)), options: noTLS, wantReason: v1alpha1.ReasonRejected, wantResult: "the server does not accept the user name or the password"},
		"PostgreSQL, too many":              {talk: say(postgresError("53300", echo)), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: "the server has too many connections"},
		"PostgreSQL, starting":              {talk: say(postgresError("57P03", echo)), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: "the server is starting or stopping"},
		"PostgreSQL, no rule":               {talk: say(postgresError("28000", "no pg_hba.conf entry for host, no encryption "+echo)), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: "the server has no rule for connections without TLS like this one, and may ask for TLS: set sslmode=require"},
		"PostgreSQL, the end":               {talk: func(net.Conn) {}, options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: "the server closed the connection before it had answered"},
		"PostgreSQL, no TLS":                {talk: say([]byte("N")), options: "sslmode=require", wantReason: v1alpha1.ReasonUnreachable, wantResult: "the server offers no TLS"},
		"PostgreSQL, noise for TLS":         {talk: say([]byte("S"), []byte("HTTP/1.1 400 Bad Request\r\n\r\n")), options: "sslmode=require", wantReason: v1alpha1.ReasonUnreachable, wantResult: "the server cannot be reached: it does not speak TLS"},
		"PostgreSQL, asks for the password": {talk: say(message('R', askPassword)), options: noTLS, wantReason: v1alpha1.ReasonNotTestable, wantResult: "the server asks for the password itself, which connection tests send over TLS alone: set sslmode=require or a stronger one"},
		"PostgreSQL, asks for Kerberos":     {talk: say(message('R', "\x00\x00\x00\x07")), options: noTLS, wantReason: v1alpha1.ReasonNotTestable, wantResult: "the server asks for Kerberos, which connection tests do not speak"},
		"PostgreSQL, hard work":             {talk: say(scram, message('R', "\x00\x00\x00\x0br=abc,s=c2FsdA==,i=9999999")), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: hard},
		"PostgreSQL, hard work, dripping":   {talk: func(c net.Conn) { reply(c, scram); drip(message('R', "\x00\x00\x00\x0b,i=1000000"))(c) }, options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: hard},
		"PostgreSQL, silence after login":   {talk: say(append(message('R', authOK), message('Z', "I")...)), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: slow},

		"MySQL, silence":               {mysql: true, talk: say(), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: slow},
		"MySQL, a byte at a time":      {mysql: true, talk: drip(packet(0, greeting)), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: slow},
		"MySQL, 1 GiB of packets":      {mysql: true, talk: flood([]byte("\xff\xff\xff\x00" + strings.Repeat("x", 4092))), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: much},
		"MySQL, echo":                  {mysql: true, talk: greet(packet(2, mysqlError(1105, echo))), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: itself},
		"MySQL, echo of a wrong login": {mysql: true, talk: greet(packet(2, mysqlError(1045, echo))), options: noTLS, wantReason: v1alpha1.ReasonRejected, wantResult: "the server does not accept the user name or the password, or asks this user for TLS"},
		"MySQL, echo at once":          {mysql: true, talk: func(c net.Conn) { _, _ = c.Write(packet(0, mysqlError(1040, echo))); say()(c) }, options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: "the server has too many connections"},
		"MySQL, TLS required":          {mysql: true, talk: greet(packet(2, mysqlError(3159, echo))), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: "the server asks for TLS: set ssl-mode=REQUIRED in a URI, tls=true in a DSN"},
		"MySQL, the end":               {mysql: true, talk: func(net.Conn) {}, options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: "the server closed the connection before it had answered"},
		"MySQL, no TLS":                {mysql: true, talk: greet(), options: "ssl-mode=REQUIRED", wantReason: v1alpha1.ReasonUnreachable, wantResult: "the server offers no TLS"},
		"MySQL, asks for the password": {mysql: true, talk: greet(packet(2, "\xfemysql_clear_password\x00")), options: noTLS, wantReason: v1alpha1.ReasonNotTestable, wantResult: "the server asks for the password itself, which connection tests send over TLS alone and where the connection string says so: set tls=true and allowCleartextPasswords=true"},
		"MySQL, TLS stripped":          {mysql: true, talk: greet(packet(2, "\xfemysql_clear_password\x00")), options: "ssl-mode=PREFERRED", wantReason: v1alpha1.ReasonNotTestable, wantResult: "the server asks for the password itself, which connection tests send over TLS alone and where the connection string says so: set tls=true and allowCleartextPasswords=true"},
		"MySQL, asks for the old form": {mysql: true, talk: greet(packet(2, "\xfemysql_old_password\x00abcdefgh")), options: noTLS, wantReason: v1alpha1.ReasonNotTestable, wantResult: "the server asks for the password in an old form that is easily read, which connection tests do not send"},
		"MySQL, unknown login":         {mysql: true, talk: greet(packet(2, "\xfe"+password+"\x00abcdefgh")), options: noTLS, wantReason: v1alpha1.ReasonNotTestable, wantResult: "the server asks for a kind of login that connection tests do not speak"},
		"MySQL, asks for a file":       {mysql: true, talk: greet(append(login, packet(1, "\xfb/etc/passwd"))...), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: slow},
		"MySQL, asks for a file first": {mysql: true, talk: greet(packet(2, "\xfb/etc/passwd")), options: noTLS, wantReason: v1alpha1.ReasonUnreachable, wantResult: "the server gave no answer that can be read"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := serveDatabase(t, tt.talk)
			entry, value := postgresEntry, d.postgres(tt.options)
			if tt.mysql {
				entry, value = mysqlEntry, d.mysql(tt.options)
			}
			started := time.Now()
			got := onLoopback(timeout).Test(t.Context(), entry, value)
			if took := time.Since(started); took > timeout+2*time.Second {
				t.Errorf("took %s", took)
			}
			wantResult(t, got, tt.wantReason, tt.wantResult)
			received, _, sent := d.seen()
			if strings.Contains(received, password) {
				t.Error("the server was sent the password as it is")
			}
			if strings.Contains(received, "root:") {
				t.Error("the server was sent a local file")
			}
			// What is read is bounded; buffers on the way hold some more.
			if sent > 8<<20 {
				t.Errorf("the server could send %d bytes", sent)
			}
		})
	}
}

// lookup answers for every name of its map, and counts.
type lookup struct {
	mu      sync.Mutex
	answers map[string]string
	asked   map[string]int
}

func (l *lookup) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil {
		l.asked = map[string]int{}
	}
	l.asked[host]++
	answer, ok := l.answers[host]
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr(answer)}, nil
}

func TestWhereConnectionStringsMayGo(t *testing.T) {
	d := serveDatabase(t, say(postgresError("28P01", "")))
	_, port, err := net.SplitHostPort(d.address)
	if err != nil {
		t.Fatal(err)
	}
	const where = ", where connection tests may not go"
	tests := map[string]struct{ value, want string }{
		"loopback":             {"postgres://alice@127.0.0.1:PORT/", "names a loopback address"},
		"IPv6 loopback":        {"postgres://alice@[::1]:PORT/", "names a loopback address"},
		"mapped":               {"postgres://alice@[::ffff:127.0.0.1]:PORT/", "names a loopback address"},
		"unspecified":          {"postgres://alice@0.0.0.0:PORT/", "names an unspecified address"},
		"metadata":             {"host=169.254.169.254 user=alice", "names the address of a cloud provider's metadata service"},
		"decimal":              {"host=2130706433 port=PORT user=alice", "names a number that is no IP address in standard form"},
		"name":                 {"host=loopback.example port=PORT user=alice", "names a loopback address"},
		"last of a list":       {"host=127.0.0.2,loopback.example port=PORT user=alice", "names a loopback address"},
		"list in a URI":        {"postgres://alice@127.0.0.2:PORT,[::1]:PORT/", "names a loopback address"},
		"MySQL, loopback":      {"mysql://alice@127.0.0.1:PORT/", "names a loopback address"},
		"MySQL, IPv6 loopback": {"alice@tcp([::1]:PORT)/", "names a loopback address"},
		"MySQL, name":          {"alice@tcp(loopback.example:PORT)/", "names a loopback address"},
		"MySQL, zone":          {"alice@tcp([fe80::1%lo]:PORT)/", "names an address with a zone"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			guard := dialing.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, nil).
				WithResolver(&lookup{answers: map[string]string{"loopback.example": "127.0.0.1"}})
			entry := postgresEntry
			if strings.HasPrefix(name, "MySQL") {
				entry = mysqlEntry
			}
			value := secretvalue.FromString(strings.ReplaceAll(tt.value, "PORT", port))
			got := New(Options{Destinations: guard, Timeout: time.Second}).Test(t.Context(), entry, value)
			wantResult(t, got, v1alpha1.ReasonNotTestable, "the connection string "+tt.want+where)
		})
	}
	if _, connections, _ := d.seen(); connections != 0 {
		t.Errorf("the server got %d connections", connections)
	}
	t.Run("without a guard", func(t *testing.T) {
		wantResult(t, New(Options{}).Test(t.Context(), postgresEntry, d.postgres("")), v1alpha1.ReasonNotTestable,
			"the connection string names a loopback address"+where)
	})
}

// A name is looked up once, whatever tries follow.
func TestConnectionStringsAreResolvedOnce(t *testing.T) {
	d := serveDatabase(t, say([]byte("N")))
	_, port, _ := net.SplitHostPort(d.address)
	names := &lookup{answers: map[string]string{"db.example": "127.0.0.1"}}
	guard := dialing.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, nil).WithResolver(names)
	tester := New(Options{Destinations: guard, Timeout: 500 * time.Millisecond})
	value := secretvalue.FromString("host=unknown.example,db.example port=" + port + " user=alice sslmode=prefer")
	if got := tester.Test(t.Context(), postgresEntry, value); got.Reason != v1alpha1.ReasonUnreachable {
		t.Errorf("got %+v", got)
	}
	if _, connections, _ := d.seen(); connections != 2 {
		t.Errorf("the server got %d connections, want one with TLS and one without", connections)
	}
	if names.asked["db.example"] != 1 || names.asked["unknown.example"] != 1 {
		t.Errorf("looked up %v, want each once", names.asked)
	}
	wantResult(t, tester.Test(t.Context(), mysqlEntry, secretvalue.FromString("mysql://alice@unknown.example/")), v1alpha1.ReasonUnreachable,
		"the server cannot be reached: its name is not known")
}

func TestDatabaseIsDown(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &database{address: listener.Addr().String()}
	_ = listener.Close()
	for name, result := range map[string]Result{
		"PostgreSQL": onLoopback(time.Second).Test(t.Context(), postgresEntry, d.postgres("")),
		"MySQL":      onLoopback(time.Second).Test(t.Context(), mysqlEntry, d.mysql("")),
	} {
		t.Run(name, func(t *testing.T) {
			wantResult(t, result, v1alpha1.ReasonUnreachable, "the server refused the connection")
		})
	}
}

// A rejection on one host of a list is the answer; a host that cannot be reached
// is not.
func TestListOfHosts(t *testing.T) {
	rejects := serveDatabase(t, say(postgresError("28P01", "")))
	silent := serveDatabase(t, say())
	never := serveDatabase(t, say())
	value := secretvalue.FromString(fmt.Sprintf("postgres://alice:%s@%s,%s,%s/orders?sslmode=disable", password, silent.address, rejects.address, never.address))
	got := onLoopback(1500*time.Millisecond).Test(t.Context(), postgresEntry, value)
	wantResult(t, got, v1alpha1.ReasonRejected, "the server does not accept the user name or the password")
	if _, connections, _ := never.seen(); connections != 0 {
		t.Error("the host after the rejection was connected to")
	}
}

// childVariable makes a test binary test a connection string in an environment
// that would change it.
const childVariable = "TEST_POSTGRES_CHILD"

// The environment and the home directory change nothing of a connection string.
func TestPostgresEnvironmentHasNoEffect(t *testing.T) {
	if text := os.Getenv(childVariable); text != "" {
		got := onLoopback(5*time.Second).Test(t.Context(), postgresEntry, secretvalue.FromString(text))
		wantResult(t, got, v1alpha1.ReasonRejected, "the server does not accept the user name or the password")
		if os.Getenv("PGHOST") != "169.254.169.254" {
			t.Error("the environment was not given back")
		}
		return
	}
	d := serveDatabase(t, say(postgresError("28P01", "")))
	home := t.TempDir()
	host, port, _ := net.SplitHostPort(d.address)
	for name, content := range map[string]string{
		".pgpass":          "*:*:*:*:from-the-file",
		".pg_service.conf": "[there]\nhost=169.254.169.254\napplication_name=from-the-file\n",
	} {
		if err := os.WriteFile(home+"/"+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"URI":      "postgres://alice@" + d.address + "/?sslmode=disable",
		"keywords": "user=alice sslmode=disable host=" + host + " port=" + port,
	} {
		t.Run(name, func(t *testing.T) {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPostgresEnvironmentHasNoEffect$")
			child.Env = append(os.Environ(), childVariable+"="+text, "HOME="+home,
				"PGHOST=169.254.169.254", "PGPORT=none", "PGUSER=from-the-environment", "PGPASSWORD=from-the-environment",
				"PGDATABASE=from-the-environment", "PGAPPNAME=from-the-environment", "PGOPTIONS=from-the-environment",
				"PGSERVICE=there", "PGSSLMODE=verify-full", "PGSSLROOTCERT=/nowhere", "PGSSLKEY=/nowhere", "PGSSLCERT=/nowhere",
				"PGPASSFILE="+home+"/.pgpass", "PGTARGETSESSIONATTRS=none", "PGREQUIREAUTH=none", "PGSSLCERTMODE=")
			if out, err := child.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
	received, connections, _ := d.seen()
	if connections != 2 || !strings.Contains(received, "alice") || strings.Contains(received, "from-the-") {
		t.Errorf("%d connections, sent %q", connections, received)
	}
}

// A password arrives as it was meant, whatever characters it has.
func TestPostgresPasswordsWithSpecialCharacters(t *testing.T) {
	const special = `p:/@%+ ?#&='"\ü`
	// Only over TLS would it be sent as it is, so this looks at the configuration.
	for name, text := range map[string]string{
		"URI":      "postgres://alice:" + queryEscape(special) + "@db.example/",
		"keywords": `host=db.example user=alice password='` + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(special) + `'`,
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parsePostgres(text)
			if err != nil {
				t.Fatal(err)
			}
			l := &line{ctx: t.Context(), server: server{endpoint: s.endpoints[0]}}
			if got := onLoopback(0).postgresConfig(s, l, encrypted).Password; got != special {
				t.Errorf("password %q, want %q", got, special)
			}
		})
	}
}

// Nothing connects once a try is over: pgx would ask the server to cancel.
func TestLineEndsWithItsTry(t *testing.T) {
	d := serveDatabase(t, say())
	host := netip.MustParseAddrPort(d.address)
	ctx, cancel := context.WithCancel(t.Context())
	l := &line{ctx: ctx, guard: onLoopback(0).destinations, server: server{endpoint: endpoint{port: host.Port()}, addrs: []netip.Addr{host.Addr()}}}
	conn, err := l.dial(t.Context(), "tcp", "ignored.example:"+strconv.Itoa(1))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading after the end: %v, want %v", err, net.ErrClosed)
	}
	if _, err := l.dial(t.Context(), "tcp", d.address); !errors.Is(err, context.Canceled) {
		t.Errorf("dialing after the end: %v, want %v", err, context.Canceled)
	}
}
