package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"usersecrets.dev/operator/internal/secretvalue"
)

// acceptedLogin says that a database server let the value in.
const acceptedLogin = "the server accepted the login and answered a query"

// postgres logs in to the PostgreSQL server that the value names and runs SELECT 1.
func (t *Tester) postgres(ctx context.Context, value secretvalue.Value) Result {
	s, err := parsePostgres(string(value.Bytes()))
	if err != nil {
		return notTestable(err.Error())
	}
	servers, err := t.resolve(ctx, s.endpoints)
	if err != nil {
		return notTestable(err.Error())
	}
	return attempts(ctx, servers, s.securities, func(ctx context.Context, server server, security security) attempt {
		l := &line{ctx: ctx, guard: t.destinations, server: server}
		usedTLS := security != plain
		if err := runPostgres(ctx, t.postgresConfig(s, l, security)); err != nil {
			return t.judgePostgres(ctx, l.cause(err), usedTLS)
		}
		return attempt{Result: accepted(acceptedLogin), settled: true}
	})
}

func runPostgres(ctx context.Context, config *pgconn.Config) error {
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, "SELECT 1").ReadAll()
	return err
}

// blankPostgres is a configuration in which nothing is set. The driver makes
// configurations from connection strings alone, to which it adds what it finds in
// the environment and the home directory; so it is made once, before anything
// runs beside it, from a string that leaves nothing to be found.
var blankPostgres = withoutPostgresEnvironment(func() *pgconn.Config {
	config, err := pgconn.ParseConfig("host=unset port=5432 user=unset password=unset dbname=unset sslmode=disable " +
		"passfile='' servicefile='' sslcert='' sslkey='' sslrootcert=''")
	if err != nil {
		panic(fmt.Sprintf("verify: the driver does not take its own defaults: %v", err))
	}
	return config
})

// withoutPostgresEnvironment runs f while the variables that libpq reads are unset.
func withoutPostgresEnvironment[T any](f func() T) T {
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "PG") {
			continue
		}
		if os.Unsetenv(name) == nil {
			defer func() { _ = os.Setenv(name, value) }()
		}
	}
	return f()
}

// postgresConfig says how to connect to the server of a line, and nowhere else.
func (t *Tester) postgresConfig(s *postgresString, l *line, security security) *pgconn.Config {
	config := blankPostgres.Copy()
	config.Host, config.Port = l.server.host, l.server.port
	config.User, config.Password, config.Database = s.user, s.password, s.database
	config.Fallbacks = nil
	config.TLSConfig = t.tlsConfig(security, l.server.host)
	config.RuntimeParams = s.runtimeParams
	config.ChannelBinding = s.channelBinding
	if s.directTLS {
		config.SSLNegotiation = "direct"
		config.TLSConfig.NextProtos = []string{"postgresql"} // PostgreSQL's documentation, section 53.2.10
	}
	if security == plain {
		// Whoever sits between could ask for the password itself.
		config.RequireAuth = "!password"
	}
	config.ValidateConnect = validateSession(s.sessionAttrs)
	config.MaxProtocolMessageBodyLen = maxRead
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		return pgproto3.NewFrontend(&easyReader{Reader: r}, w)
	}
	config.DialFunc = l.dial
	// The line knows the addresses: a lookup of the driver's own could answer
	// differently.
	config.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"resolved"}, nil }
	return config
}

var (
	// tooHard finds what asks for a million iterations or more in a message of
	// SCRAM (RFC 5802, section 5.1). Servers ask for 4096 unless told otherwise.
	tooHard    = regexp.MustCompile(`,i=[+0-9]{7}`)
	errTooHard = errors.New("the server asks for too many iterations")
)

// easyReader fails where a server asks for so many iterations that the driver,
// which no timeout stops as it counts, would be busy for seconds.
type easyReader struct {
	io.Reader
	last []byte // of what was read before, shorter than a match
}

// Read implements [io.Reader].
func (r *easyReader) Read(p []byte) (int, error) {
	const kept = len(",i=999999")
	n, err := r.Reader.Read(p)
	seen := slices.Concat(r.last, p[:n])
	if tooHard.Match(seen) {
		return 0, errTooHard
	}
	r.last = seen[max(0, len(seen)-kept):]
	return n, err
}

var errSession = errors.New("the server is not what target_session_attrs asks for")

// validateSession checks that a server is what target_session_attrs asks for.
// Where a standby is but preferred, any will do.
func validateSession(attrs string) pgconn.ValidateConnectFunc {
	validate, ok := map[string]pgconn.ValidateConnectFunc{
		"read-write": pgconn.ValidateConnectTargetSessionAttrsReadWrite,
		"read-only":  pgconn.ValidateConnectTargetSessionAttrsReadOnly,
		"primary":    pgconn.ValidateConnectTargetSessionAttrsPrimary,
		"standby":    pgconn.ValidateConnectTargetSessionAttrsStandby,
	}[attrs]
	if !ok {
		return nil
	}
	return func(ctx context.Context, conn *pgconn.PgConn) error {
		if err := validate(ctx, conn); err != nil {
			return errors.Join(errSession, err)
		}
		return nil
	}
}

// judgePostgres says what an error means. What servers say is looked at, and never
// repeated.
func (t *Tester) judgePostgres(ctx context.Context, err error, usedTLS bool) attempt {
	var said *pgconn.PgError
	var tooLong *pgproto3.ExceededMaxBodyLenErr
	text := err.Error()
	switch {
	case ctx.Err() != nil:
		return attempt{Result: t.explainDatabase(ctx, err)}
	case errors.Is(err, errSession):
		return attempt{Result: unreachable("no server that the connection string lists is what its target_session_attrs asks for")}
	case errors.As(err, &said):
		return judgeSQLState(said, usedTLS)
	case errors.As(err, &tooLong):
		return attempt{Result: t.explainDatabase(ctx, errTooMuch)}
	case strings.Contains(text, "require_auth check failed"): // the driver's own words, here and below
		return attempt{Result: notTestable("the server asks for the password itself, which connection tests send over TLS alone: set sslmode=require or a stronger one")}
	case strings.Contains(text, "channel binding"):
		return attempt{Result: unreachable("the server offers no channel binding, which the connection string requires")}
	case strings.Contains(text, "server refused TLS connection"):
		return attempt{Result: unreachable("the server offers no TLS")}
	case strings.Contains(text, "no GSSAPI provider registered"):
		return attempt{Result: notTestable("the server asks for Kerberos, which connection tests do not speak"), settled: true}
	default:
		return attempt{Result: t.explainDatabase(ctx, err)}
	}
}

// judgeSQLState says what an error of the server means, by PostgreSQL's
// documentation, appendix A, "PostgreSQL Error Codes".
func judgeSQLState(said *pgconn.PgError, usedTLS bool) attempt {
	settled := func(r Result) attempt { return attempt{Result: r, settled: true} }
	switch said.Code {
	case "28P01": // invalid_password
		return settled(rejected("the server does not accept the user name or the password"))
	case "3D000": // invalid_catalog_name
		return settled(rejected("the server has no database of this name"))
	case "42501": // insufficient_privilege
		return settled(rejected("the server does not let this user into this database"))
	case "28000": // invalid_authorization_specification
		// A rule for connections over TLS alone shows in the words only: SSL off
		// before version 14, no encryption since.
		unprotected := []string{"no encryption", "SSL off"}
		says := func(words string) bool { return strings.Contains(said.Message, words) }
		if !usedTLS && strings.Contains(said.Message, "pg_hba.conf") && slices.ContainsFunc(unprotected, says) {
			return attempt{Result: unreachable("the server has no rule for connections without TLS like this one, and may ask for TLS: set sslmode=require")}
		}
		return attempt{Result: rejected("the server has no rule that lets this user into this database from here")}
	case "53300": // too_many_connections
		return attempt{Result: unreachable("the server has too many connections")}
	case "57P03": // cannot_connect_now
		return attempt{Result: unreachable("the server is starting or stopping")}
	case "57P01", "57P02": // admin_shutdown, crash_shutdown
		return attempt{Result: unreachable("the server is stopping")}
	default:
		return attempt{Result: unreachable("the server answered with an error of its own")}
	}
}
