package verify

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const mysqlPort = 3306

// mysqlString is what a test takes from a MySQL or MariaDB connection string.
type mysqlString struct {
	endpoint                 endpoint
	user, password, database string
	securities               []security // in the order of trying
	cleartext                bool       // allowCleartextPasswords
}

// mysqlSchemes start a URI, also with the name of a Python driver as SQLAlchemy
// writes it.
var mysqlSchemes = regexp.MustCompile(`^(mysql|mariadb)(\+[a-z0-9_]+)?://`)

// mysqlUsed are the options that the test makes use of, in the spelling of
// [spell].
var mysqlUsed = []string{"tls", "sslmode", "ssl", "sslaccept", "allowcleartextpasswords"}

// mysqlIgnored are options that make no difference to a login and SELECT 1: those
// of go-sql-driver/mysql, and those that other drivers and poolers read themselves.
var mysqlIgnored = []string{
	"charset", "collation", "parsetime", "loc", "timetruncate", "timeout", "readtimeout", "writetimeout", "connecttimeout",
	"multistatements", "interpolateparams", "clientfoundrows", "columnswithalias", "checkconnliveness", "maxallowedpacket",
	"rejectreadonly", "allownativepasswords", "connectionattributes", "compress", "timezone", "servertimezone",
	"serverversion", "useunicode", "characterencoding", "connectionlimit", "pooltimeout", "sockettimeout",
}

// mysqlRefused are the options that a test does not follow, with the reason.
var mysqlRefused = map[string]string{
	"allowallfiles":            "lets the server read files of the machine that connects: leave it out",
	"localinfile":              "lets the server read files of the machine that connects: leave it out",
	"allowloadlocalinfile":     "lets the server read files of the machine that connects: leave it out",
	"allowoldpasswords":        "sends the password in a form that is easily read: leave it out",
	"allowfallbacktoplaintext": "lets whoever sits between switch TLS off: leave it out",
	"allowpublickeyretrieval":  "is not known to connection tests: leave it out",
	"serverpubkey":             "names a key that only the program that registered it has: leave it out",
	"unixsocket":               noSocket,
	"socket":                   noSocket,
	"readdefaultfile":          readsFiles,
	"readdefaultgroup":         readsFiles,
	"sslca":                    readsFiles,
	"sslcapath":                readsFiles,
	"sslcert":                  readsFiles,
	"sslkey":                   readsFiles,
	"sslcrl":                   readsFiles,
	"sslcrlpath":               readsFiles,
	"sslidentity":              readsFiles,
	"sslpassword":              readsFiles,
	"initcommand":              "runs a statement, and connection tests run none but SELECT 1: leave it out",
}

const noSocket = "names a Unix socket, and connection tests use TCP alone: leave it out"

// spell returns an option's name as this file spells it: ssl-mode, ssl_mode and
// sslMode are one option to one driver or the other.
func spell(key string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(key))
}

// parseMySQL reads a connection string: a URI,
// mysql://user:password@host:3306/database?ssl-mode=REQUIRED, also mariadb:// and
// mysql+pymysql://, or a DSN of go-sql-driver/mysql,
// user:password@tcp(host:3306)/database?tls=true. There is no default host or
// user, no option stands twice, and an option that is not known to be harmless is
// refused. Errors are [unusable].
func parseMySQL(text string) (*mysqlString, error) {
	text = strings.TrimSpace(text)
	if scheme := mysqlSchemes.FindString(text); scheme != "" {
		return parseMySQLURI(text[len(scheme):])
	}
	return parseMySQLDSN(text)
}

// parseMySQLURI reads what follows the scheme. Without an option for TLS it is
// ssl-mode=PREFERRED, the default of MySQL's own clients.
func parseMySQLURI(rest string) (*mysqlString, error) {
	const encode = "the connection string is no URI: special characters of a password must be percent-encoded"
	u, err := url.Parse("mysql://" + rest)
	if err != nil || u.Fragment != "" || u.User == nil && strings.ContainsRune(rest, '@') {
		return nil, unusable(encode)
	}
	s := &mysqlString{
		database:   strings.TrimPrefix(u.Path, "/"),
		securities: []security{encrypted, plain},
	}
	s.user = u.User.Username()
	s.password, _ = u.User.Password()
	if s.endpoint, err = parseEndpoint(u.Hostname(), u.Port(), mysqlPort); err != nil {
		return nil, err
	}
	return s, s.readOptions(u.RawQuery)
}

// parseMySQLDSN reads a DSN by the rules of go-sql-driver/mysql: the last slash
// starts the database's name, the last @ before it ends the password, and nothing
// of these is percent-encoded but the name. Its default is no TLS.
func parseMySQLDSN(text string) (*mysqlString, error) {
	const malformed = unusable("the value is no connection string: it is neither a mysql:// URI nor user:password@tcp(host:3306)/database")
	slash := strings.LastIndexByte(text, '/')
	if slash < 0 {
		return nil, malformed
	}
	before, after := text[:slash], text[slash+1:]
	credentials, destination := "", before
	if at := strings.LastIndexByte(before, '@'); at >= 0 {
		credentials, destination = before[:at], before[at+1:]
	}
	if strings.HasPrefix(destination, "unix(") {
		return nil, unusable("the connection string names a Unix socket, and connection tests use TCP alone: write tcp(host:3306)")
	}
	network, address, found := strings.Cut(destination, "(")
	address, closed := strings.CutSuffix(address, ")")
	if !found || !closed {
		return nil, malformed
	}
	if network != "tcp" {
		return nil, unusable("the connection string names a network of its own, and connection tests use TCP alone: write tcp(host:3306)")
	}
	database, query, _ := strings.Cut(after, "?")
	name, err := url.PathUnescape(database)
	if err != nil {
		return nil, malformed
	}
	s := &mysqlString{database: name, securities: []security{plain}}
	s.user, s.password, _ = strings.Cut(credentials, ":")
	host, port, err := splitHosts(address)
	if err != nil {
		return nil, err
	}
	if s.endpoint, err = parseEndpoint(host, port, mysqlPort); err != nil {
		return nil, err
	}
	return s, s.readOptions(query)
}

// readOptions reads what follows the question mark, and checks the whole.
func (s *mysqlString) readOptions(query string) error {
	options := map[string]string{}
	for parameter := range strings.SplitSeq(query, "&") {
		if parameter == "" {
			continue
		}
		key, escaped, _ := strings.Cut(parameter, "=")
		value, err := url.QueryUnescape(escaped)
		if err != nil {
			return unusable("the connection string's options are not percent-encoded as those of a URI are")
		}
		key = spell(key)
		if _, twice := options[key]; twice {
			return unusable("the connection string has an option twice")
		}
		options[key] = value
	}
	for _, key := range slices.Sorted(maps.Keys(options)) {
		if err := checkOption(key, mysqlUsed, mysqlIgnored, mysqlRefused); err != nil {
			return err
		}
	}
	if s.user == "" {
		return unusable("the connection string names no user: connection tests have no default for it")
	}
	if strings.ContainsRune(s.user+s.password+s.database, 0) {
		return unusable("the connection string has a NUL character in it")
	}
	return s.readSecurity(options)
}

// mysqlSecurities are what the options for TLS mean, by their value in lower case:
// tls of go-sql-driver/mysql, ssl-mode of MySQL's clients (the spelling with
// underscores and without), ssl of several drivers, sslaccept of Prisma.
var mysqlSecurities = map[string]map[string][]security{
	"tls": {
		"true": {nameVerified}, "1": {nameVerified}, "false": {plain}, "0": {plain},
		"skip-verify": {encrypted}, "preferred": {encrypted, plain},
	},
	"sslmode": {
		"disabled": {plain}, "disable": {plain}, "preferred": {encrypted, plain}, "prefer": {encrypted, plain},
		"required": {encrypted}, "require": {encrypted}, "verify_ca": {chainVerified}, "verify-ca": {chainVerified},
		"verify_identity": {nameVerified}, "verify-full": {nameVerified},
	},
	"ssl":       {"true": {encrypted}, "1": {encrypted}, "false": {plain}, "0": {plain}},
	"sslaccept": {"strict": {nameVerified}, "accept_invalid_certs": {encrypted}},
}

// readSecurity reads what the connection string says of TLS, and whether the
// password may be sent as it is, which it is over TLS alone.
func (s *mysqlString) readSecurity(options map[string]string) error {
	given := ""
	for _, key := range []string{"tls", "sslmode", "ssl", "sslaccept"} {
		value, ok := options[key]
		if !ok {
			continue
		}
		if given != "" {
			return unusable("the connection string has two options for TLS, " + given + " and " + key + ": leave one out")
		}
		given = key
		if s.securities, ok = mysqlSecurities[key][strings.ToLower(value)]; !ok {
			return unusable("the connection string's " + key + " is not one that connection tests know: " +
				strings.Join(slices.Sorted(maps.Keys(mysqlSecurities[key])), ", "))
		}
	}
	switch strings.ToLower(options["allowcleartextpasswords"]) {
	case "", "false", "0":
		return nil
	}
	if slices.Contains(s.securities, plain) {
		return unusable("the connection string's allowCleartextPasswords without TLS would show the password to the network: set tls=true")
	}
	s.cleartext = true
	return nil
}
