package verify

import (
	"context"
	"database/sql/driver"
	"errors"
	"net"
	"strconv"

	"github.com/go-sql-driver/mysql"

	"usersecrets.dev/operator/internal/secretvalue"
)

// mysql logs in to the MySQL or MariaDB server that the value names, pings it and
// runs SELECT 1.
func (t *Tester) mysql(ctx context.Context, value secretvalue.Value) Result {
	s, err := parseMySQL(string(value.Bytes()))
	if err != nil {
		return notTestable(err.Error())
	}
	servers, err := t.resolve(ctx, []endpoint{s.endpoint})
	if err != nil {
		return notTestable(err.Error())
	}
	return attempts(ctx, servers, s.securities, func(ctx context.Context, server server, security security) attempt {
		l := &line{ctx: ctx, guard: t.destinations, server: server}
		if err := runMySQL(ctx, t.mysqlConfig(s, l, security)); err != nil {
			return t.judgeMySQL(ctx, l.cause(err), security != plain)
		}
		return attempt{Result: accepted(acceptedLogin), settled: true}
	})
}

// mysqlConfig says how to connect to the server of a line, and nowhere else. The
// driver's defaults hold for the rest: no local files, no old passwords.
//
// A server of caching_sha2_password that is spoken to without TLS may ask for the
// password encrypted for a key that it sends, as MySQL's own drivers allow.
func (t *Tester) mysqlConfig(s *mysqlString, l *line, security security) *mysql.Config {
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = s.user, s.password, s.database
	config.Net, config.Addr = "tcp", net.JoinHostPort(l.server.host, strconv.Itoa(int(l.server.port)))
	config.TLS = t.tlsConfig(security, l.server.host)
	config.AllowCleartextPasswords = s.cleartext && security != plain
	config.CheckConnLiveness = false   // the connection is used at once
	config.Logger = &mysql.NopLogger{} // its own logs what the server says
	config.DialFunc = l.dial
	return config
}

// runMySQL uses one connection of the driver's: database/sql would open another
// where the first breaks.
func runMySQL(ctx context.Context, config *mysql.Config) error {
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.(driver.Pinger).Ping(ctx); err != nil {
		return err
	}
	_, err = conn.(driver.ExecerContext).ExecContext(ctx, "SELECT 1", nil)
	return err
}

// judgeMySQL says what an error means. What servers say is looked at, and never
// repeated.
func (t *Tester) judgeMySQL(ctx context.Context, err error, usedTLS bool) attempt {
	var said *mysql.MySQLError
	notTested := func(message string) attempt { return attempt{Result: notTestable(message), settled: true} }
	switch {
	case ctx.Err() != nil, errors.Is(err, errTooMuch):
		return attempt{Result: t.explainDatabase(ctx, err)}
	case errors.As(err, &said):
		return judgeMySQLNumber(said.Number, usedTLS)
	case errors.Is(err, mysql.ErrNoTLS):
		return attempt{Result: unreachable("the server offers no TLS")}
	case errors.Is(err, mysql.ErrCleartextPassword):
		return notTested("the server asks for the password itself, which connection tests send over TLS alone and where the connection string says so: set tls=true and allowCleartextPasswords=true")
	case errors.Is(err, mysql.ErrOldPassword):
		return notTested("the server asks for the password in an old form that is easily read, which connection tests do not send")
	case errors.Is(err, mysql.ErrUnknownPlugin), errors.Is(err, mysql.ErrNativePassword), errors.Is(err, mysql.ErrOldProtocol):
		return notTested("the server asks for a kind of login that connection tests do not speak")
	default:
		return attempt{Result: t.explainDatabase(ctx, err)}
	}
}

// judgeMySQLNumber says what an error of the server means, by MySQL's and
// MariaDB's error references.
func judgeMySQLNumber(number uint16, usedTLS bool) attempt {
	settled := func(r Result) attempt { return attempt{Result: r, settled: true} }
	switch number {
	case 1045, 1698: // ER_ACCESS_DENIED_ERROR, ER_ACCESS_DENIED_NO_PASSWORD_ERROR
		if usedTLS {
			return settled(rejected("the server does not accept the user name or the password"))
		}
		return settled(rejected("the server does not accept the user name or the password, or asks this user for TLS"))
	case 1044: // ER_DBACCESS_DENIED_ERROR
		return settled(rejected("the server does not let this user into this database"))
	case 1049: // ER_BAD_DB_ERROR
		return settled(rejected("the server has no database of this name"))
	case 3118, 4151: // ER_ACCOUNT_HAS_BEEN_LOCKED of MySQL and of MariaDB
		return settled(rejected("the server has locked this user's account"))
	case 1820, 1862: // ER_MUST_CHANGE_PASSWORD, ER_MUST_CHANGE_PASSWORD_LOGIN
		return settled(rejected("the server says that the password has expired"))
	case 3159: // ER_SECURE_TRANSPORT_REQUIRED
		return attempt{Result: unreachable("the server asks for TLS: set ssl-mode=REQUIRED in a URI, tls=true in a DSN")}
	case 1040, 1203, 1226: // ER_CON_COUNT_ERROR, ER_TOO_MANY_USER_CONNECTIONS, ER_USER_LIMIT_REACHED
		return attempt{Result: unreachable("the server has too many connections")}
	case 1129, 1130: // ER_HOST_IS_BLOCKED, ER_HOST_NOT_PRIVILEGED
		return attempt{Result: unreachable("the server takes no connections from here")}
	case 1053: // ER_SERVER_SHUTDOWN
		return attempt{Result: unreachable("the server is stopping")}
	default:
		return attempt{Result: unreachable("the server answered with an error of its own")}
	}
}
